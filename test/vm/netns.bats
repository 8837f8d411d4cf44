# SPDX-License-Identifier: GPL-2.0
load vm

@test "a network namespace goes with the processes, the mount and the traffic in it" { python netns.py "$K" processes; }
@test "a network namespace lives as long as its mount, deleted under traffic" { python netns.py "$K" mount; }
@test "a network namespace deleted with a broken cable leaves no socket" { python netns.py "$K" cable; }
