// SPDX-License-Identifier: MIT
/* Object headers: life, death and detection of wrong handles; see object.h. */
#include "runtime/context.h"

void *_Atomic mcl_disp_data;

void mcl_object_init(struct mcl_object *obj, enum mcl_type type, void (*destroy)(struct mcl_object *obj))
{
	obj->dispatch = &mcl_dispatch;
	obj->disp_data = atomic_load_explicit(&mcl_disp_data, memory_order_relaxed);
	obj->destroy = destroy;
	atomic_init(&obj->app_refs, 1);
	atomic_init(&obj->refs, 1);
	atomic_init(&obj->type, type);
}

/* Looks wherever the handle points, also within released objects, which the address sanitizer is told that nobody touches. */
__attribute__((no_sanitize_address)) bool mcl_object_valid(const void *handle, enum mcl_type type)
{
	const struct mcl_object *obj = handle;
	uintptr_t address = (uintptr_t)handle;

	/* The two that are not made but always there. */
	if (type == MCL_TYPE_PLATFORM)
		return handle == &mcl_platform;
	if (type == MCL_TYPE_DEVICE)
		return handle == &mcl_device;
	if (address % _Alignof(struct mcl_object) || !mcl_object_memory(address))
		return false;
	return obj->dispatch == &mcl_dispatch && atomic_load_explicit(&obj->type, memory_order_relaxed) == type &&
	       atomic_load_explicit(&obj->app_refs, memory_order_relaxed) > 0;
}

void mcl_object_retain_app(struct mcl_object *obj)
{
	atomic_fetch_add_explicit(&obj->app_refs, 1, memory_order_relaxed);
}

void mcl_object_release_app(struct mcl_object *obj)
{
	uint32_t old = atomic_load_explicit(&obj->app_refs, memory_order_relaxed);

	/* Never below zero, also when two threads release one reference too many at the same time. */
	do {
		if (!old)
			return;
	} while (!atomic_compare_exchange_weak_explicit(&obj->app_refs, &old, old - 1, memory_order_acq_rel,
							memory_order_relaxed));
	if (old == 1)
		mcl_object_put(obj);
}

cl_uint mcl_object_app_refs(struct mcl_object *obj)
{
	return atomic_load_explicit(&obj->app_refs, memory_order_relaxed);
}

void mcl_object_get(struct mcl_object *obj)
{
	atomic_fetch_add_explicit(&obj->refs, 1, memory_order_relaxed);
}

void mcl_object_put(struct mcl_object *obj)
{
	if (atomic_fetch_sub_explicit(&obj->refs, 1, memory_order_acq_rel) != 1)
		return;
	atomic_store_explicit(&obj->type, MCL_TYPE_DEAD, memory_order_relaxed);
	if (obj->destroy)
		obj->destroy(obj);
}
