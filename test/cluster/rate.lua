-- SPDX-License-Identifier: GPL-2.0
-- wrk: each connection asks again 200 ms after it was answered.
function delay() return 200 end
