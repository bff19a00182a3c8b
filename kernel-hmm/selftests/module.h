/* SPDX-License-Identifier: GPL-2.0-only */
/* Loading the module anew, for tests of its parameters. Skips where that cannot be. */
#ifndef MODULE_H
#define MODULE_H

/* End the test as skipped without root and HMM_MIRROR_MODULE, the module's file. */
void need_module(void);
/* 0 or -1 and errno, as the system calls. */
int module_load(const char *parameters);
int module_unload(void);
/* Unload it, waiting for those that are about to let it go. */
void module_unload_soon(void);
/* Unload and load. A test that changed parameters ends with module_reload(""). */
void module_reload(const char *parameters);

#endif
