# SPDX-License-Identifier: GPL-2.0
load vm

@test "twenty rounds of load, use, unload; what is in use stays" {
	modules_unload
	mkdir "$K/h1"
	python rounds.py "$K/h1"
	modules_load
}
