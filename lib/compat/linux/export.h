/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_EXPORT_H
#define COMPAT_LINUX_EXPORT_H
/* Nothing is exported by name in user space: the core is linked in. */
#define EXPORT_SYMBOL_GPL(sym) _Static_assert(1, "")
#endif
