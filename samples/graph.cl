/* SPDX-License-Identifier: MIT */

/* The same structure as in graph.c. */
struct vertex {
	atomic_int level;
	int expected;
	uint num_edges;
	global struct vertex *global *edges;
};

/*
 * One level of a breadth-first search: each work-item takes a vertex of the frontier and claims its neighbours that
 * nobody has reached before (level -1). The claimed ones are the next frontier.
 */
kernel void expand(global struct vertex *global *frontier, uint frontier_size, global struct vertex *global *next,
		   global atomic_uint *next_size, int level)
{
	size_t i = get_global_id(0);

	if (i >= frontier_size)
		return;
	for (uint e = 0; e < frontier[i]->num_edges; e++) {
		global struct vertex *v = frontier[i]->edges[e];
		int unreached = -1;

		if (atomic_compare_exchange_strong_explicit(&v->level, &unreached, level, memory_order_relaxed,
							    memory_order_relaxed, memory_scope_all_svm_devices)) {
			uint place = atomic_fetch_add_explicit(next_size, 1, memory_order_relaxed,
							       memory_scope_device);

			next[place] = v;
		}
	}
}
