# SPDX-License-Identifier: GPL-2.0
load vm

@test "a link cut and restored under traffic: nothing is lost, nothing comes twice" { python link.py "$K" >&3; }
