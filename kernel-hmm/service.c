// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges whose device faults are served in the kernel, by the faulting thread: disjoint
 * intervals of page numbers, of which neighbours are joined.
 *
 * Their number is bounded, because a caller chooses them and memory is spent on each.
 */
#include <linux/slab.h>

#include "internal.h"

void hm_service_init(struct hm_service *service)
{
	spin_lock_init(&service->lock);
	service->root = RB_ROOT_CACHED;
	service->ranges = 0;
}

/* Nobody asks any more. */
void hm_service_destroy(struct hm_service *service)
{
	struct interval_tree_node *node;

	while ((node = interval_tree_iter_first(&service->root, 0, ULONG_MAX))) {
		interval_tree_remove(node, &service->root);
		kfree(node);
	}
}

static void hm_service_insert(struct hm_service *service, struct interval_tree_node *node,
			      unsigned long first, unsigned long last)
{
	node->start = first;
	node->last = last;
	interval_tree_insert(node, &service->root);
	service->ranges++;
}

static void hm_service_remove(struct hm_service *service, struct interval_tree_node *node)
{
	interval_tree_remove(node, &service->root);
	service->ranges--;
}

/*
 * Set it for the pages @first to @last, or take it away. -ENOSPC: too many ranges
 * already.
 */
int hm_service_set(struct hm_service *service, unsigned long first, unsigned long last, bool on)
{
	struct interval_tree_node *node, *fresh, *rest, *old = NULL;
	int ret = 0;

	/* What is cut out of the middle of a range leaves two. */
	fresh = hm_inject(HM_INJECT_SERVICE) ? NULL : kmalloc_obj(*fresh, GFP_KERNEL_ACCOUNT);
	rest = kmalloc_obj(*rest, GFP_KERNEL_ACCOUNT);
	if (!fresh || !rest) {
		ret = -ENOMEM;
		goto out;
	}

	spin_lock(&service->lock);
	if (service->ranges >= HM_SERVICE_MAX && (first || last != ULONG_MAX >> PAGE_SHIFT)) {
		ret = -ENOSPC;
		goto out_unlock;
	}
	if (on) {
		/* With those that it touches, one range. */
		while ((node = interval_tree_iter_first(&service->root, first ? first - 1 : 0,
							last + 1))) {
			first = min(first, node->start);
			last = max(last, node->last);
			hm_service_remove(service, node);
			node->start = (unsigned long)old;
			old = node;
		}
		hm_service_insert(service, fresh, first, last);
		fresh = NULL;
	} else {
		while ((node = interval_tree_iter_first(&service->root, first, last))) {
			unsigned long from = node->start, to = node->last;

			hm_service_remove(service, node);
			if (from < first) {
				hm_service_insert(service, node, from, first - 1);
				node = NULL;
			}
			if (to > last) {
				hm_service_insert(service, node ?: rest, last + 1, to);
				rest = node ? rest : NULL;
				node = NULL;
			}
			if (node) {
				node->start = (unsigned long)old;
				old = node;
			}
		}
	}
out_unlock:
	spin_unlock(&service->lock);
out:
	kfree(fresh);
	kfree(rest);
	while (old) {
		node = old;
		old = (void *)node->start;
		kfree(node);
		cond_resched();
	}
	return ret;
}

/* Whether device faults on some of the pages @first to @last are served in the kernel. */
bool hm_service_covers(struct hm_service *service, unsigned long first, unsigned long last)
{
	bool covered;

	if (!READ_ONCE(service->ranges))
		return false;
	spin_lock(&service->lock);
	covered = interval_tree_iter_first(&service->root, first, last);
	spin_unlock(&service->lock);
	return covered;
}
