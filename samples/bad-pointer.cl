/* SPDX-License-Identifier: MIT */

/* Work-item 5 follows the pointer; the others have nothing to do. */
kernel void follow(global int *where)
{
	if (get_global_id(0) == 5)
		*where += 1;
}
