// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module and its device node. An open descriptor is nothing until it
 * registers the calling process; then it is that process's side of a context.
 *
 * Arguments are checked here, once; what lies below believes them.
 */
#include <linux/compat.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

#define HM_DEVICES_MAX 16

static unsigned int devices = 1;
module_param(devices, uint, 0444);
MODULE_PARM_DESC(devices, "Number of devices, each with its own VRAM (1 to 16)");

static unsigned long vram_mb = 256;
module_param(vram_mb, ulong, 0444);
MODULE_PARM_DESC(vram_mb, "VRAM of each device, in MiB; taken from the system's memory when used");

/* An open descriptor. */
struct hm_file {
	struct mutex lock;		/* registering */
	struct hm_context *ctx;		/* NULL before; set once */
};

static int hm_open(struct inode *inode, struct file *file)
{
	struct hm_file *hf = kzalloc_obj(*hf, GFP_KERNEL_ACCOUNT);

	if (!hf)
		return -ENOMEM;
	mutex_init(&hf->lock);
	file->private_data = hf;
	return nonseekable_open(inode, file);
}

static int hm_release(struct inode *inode, struct file *file)
{
	struct hm_file *hf = file->private_data;

	if (hf->ctx)
		hm_context_detach(hf->ctx);
	kfree(hf);
	return 0;
}

/* The context, complete, once there is one. */
static struct hm_context *hm_context_or_null(struct file *file)
{
	struct hm_file *hf = file->private_data;

	/* Pairs with the store in hm_ioctl_register(). */
	return smp_load_acquire(&hf->ctx);
}

/* The context, for its own process only. */
static struct hm_context *hm_context_of(struct file *file)
{
	struct hm_context *ctx = hm_context_or_null(file);

	if (!ctx)
		return ERR_PTR(-ENXIO);
	if (current->mm != ctx->mm)
		return ERR_PTR(-EPERM);
	return ctx;
}

static long hm_ioctl_info(struct hmm_mirror_info *info)
{
	bool private = IS_ENABLED(CONFIG_DEVICE_PRIVATE);

	*info = (struct hmm_mirror_info) {
		.version = HMM_MIRROR_VERSION,
		.devices = devices,
		.capabilities = HMM_MIRROR_CAP_MIRROR | HMM_MIRROR_CAP_HUGE |
				HMM_MIRROR_CAP_SERVICE | HMM_MIRROR_CAP_EVENTS |
				(private ? HMM_MIRROR_CAP_MIGRATE : 0),
		.vram_size = private ? (u64)vram_mb << 20 : 0,
		.vram_used = hm_vram_used(0),
		.queue_max = HM_QUEUE_MAX,
		.fault_size = sizeof(struct hmm_mirror_fault),
		.event_size = sizeof(struct hmm_mirror_event),
	};
	return 0;
}

static long hm_ioctl_register(struct file *file, const struct hmm_mirror_register *reg)
{
	struct hm_file *hf = file->private_data;
	struct hm_context *ctx;
	long ret = 0;

	if (reg->flags & ~HMM_MIRROR_REGISTER_EVENTS || reg->device >= devices || reg->queue_size > HM_QUEUE_MAX)
		return -EINVAL;
	mutex_lock(&hf->lock);
	if (hf->ctx) {
		ret = -EBUSY;
	} else {
		ctx = hm_context_create(reg);
		if (IS_ERR(ctx))
			ret = PTR_ERR(ctx);
		else	/* pairs with the load in hm_context_or_null() */
			smp_store_release(&hf->ctx, ctx);
	}
	mutex_unlock(&hf->lock);
	return ret;
}

/* A range of bytes as first and last page. */
static int hm_range(u64 start, u64 size, unsigned long *first, unsigned long *last)
{
	if (!size || (start | size) & ~PAGE_MASK || start + size < start ||
	    start + size > TASK_SIZE_MAX)
		return -EINVAL;
	*first = start >> PAGE_SHIFT;
	*last = (start + size - 1) >> PAGE_SHIFT;
	return 0;
}

static long hm_ioctl_range(struct hm_context *ctx, unsigned int nr, struct hmm_mirror_range *range)
{
	unsigned long first, last;
	u32 flags = 0;
	long ret;

	if (nr == _IOC_NR(HMM_MIRROR_IOC_MIRROR))
		flags = HMM_MIRROR_WRITE | HMM_MIRROR_PRESENT | HMM_MIRROR_HOLD;
	else if (nr == _IOC_NR(HMM_MIRROR_IOC_MIGRATE))
		flags = HMM_MIRROR_HOLD;
	if (range->flags & ~flags || range->pad)
		return -EINVAL;
	ret = hm_range(range->start, range->size, &first, &last);
	if (ret)
		return ret;
	range->done = 0;
	range->left = 0;

	switch (nr) {
	case _IOC_NR(HMM_MIRROR_IOC_MIRROR):
		ret = hm_mirror_range(ctx, first, last, range->flags, &range->done);
		range->left = last - first + 1 - range->done;
		if (range->done)
			ret = 0;
		break;
	case _IOC_NR(HMM_MIRROR_IOC_MIGRATE):
		ret = hm_migrate_range(ctx, first, last, &range->done, &range->left);
		break;
	case _IOC_NR(HMM_MIRROR_IOC_EVICT):
		return hm_evict_range(ctx, first, last, &range->done, &range->left);
	}
	if (!ret && !(range->flags & HMM_MIRROR_HOLD))
		hm_queue_answer(ctx, first, last, 0);
	return ret;
}

static long hm_ioctl_fail(struct hm_context *ctx, const struct hmm_mirror_fail *fail)
{
	unsigned long first, last;
	int ret = hm_range(fail->start, fail->size, &first, &last);

	if (ret)
		return ret;
	hm_queue_answer(ctx, first, last, -EFAULT);
	return 0;
}

static long hm_ioctl_service(struct hm_context *ctx, const struct hmm_mirror_service *service)
{
	unsigned long first = 0, last = ULONG_MAX >> PAGE_SHIFT;
	int ret;

	if (service->mode > HMM_MIRROR_SERVICE_KERNEL || service->pad)
		return -EINVAL;
	if (service->start || service->size) {
		ret = hm_range(service->start, service->size, &first, &last);
		if (ret)
			return ret;
	}
	ret = mtree_store_range(&ctx->service, first, last,
				service->mode == HMM_MIRROR_SERVICE_KERNEL ? xa_mk_value(1) : NULL,
				GFP_KERNEL_ACCOUNT);
	if (!ret)
		hm_queue_answer(ctx, first, last, 0);
	return ret;
}

static long hm_ioctl_query(struct hm_context *ctx, const struct hmm_mirror_query *query)
{
	u8 __user *out = u64_to_user_ptr(query->pages);
	unsigned long first, last, i;
	u8 pages[256];
	int ret;

	if (query->size > SZ_1G || query->flags & ~HMM_MIRROR_QUERY_HOST || query->pad)
		return -EINVAL;
	ret = hm_range(query->start, query->size, &first, &last);
	if (ret)
		return ret;
	while (first <= last) {
		unsigned long n = min(last - first + 1, ARRAY_SIZE(pages));

		mutex_lock(&ctx->lock);
		for (i = 0; i < n; i++) {
			u64 entry = ctx->dead ? 0 : hm_table_lookup(&ctx->table, first + i);

			pages[i] = (entry ? HMM_MIRROR_PAGE_PRESENT : 0) |
				   (entry & HM_PTE_WRITE ? HMM_MIRROR_PAGE_WRITE : 0) |
				   (entry & HM_PTE_VRAM ? HMM_MIRROR_PAGE_VRAM : 0) |
				   (entry & HM_PTE_HUGE ? HMM_MIRROR_PAGE_HUGE : 0);
		}
		mutex_unlock(&ctx->lock);
		if (query->flags & HMM_MIRROR_QUERY_HOST) {
			ret = hm_mirror_peek(ctx, first, n, pages);
			if (ret)
				return ret;
		}
		if (copy_to_user(out, pages, n))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		out += n;
		first += n;
		cond_resched();
	}
	return 0;
}

static long hm_ioctl_counters(struct hm_context *ctx, struct hmm_mirror_counters *counters)
{
	unsigned int i;

	for (i = 0; i < HMM_MIRROR_COUNT_MAX; i++)
		counters->value[i] = atomic64_read(&ctx->account->count[i]);
	counters->value[HMM_MIRROR_COUNT_VRAM_PAGES] = atomic_long_read(&ctx->account->used);
	return 0;
}

union hm_argument {
	struct hmm_mirror_info info;
	struct hmm_mirror_register reg;
	struct hmm_mirror_range range;
	struct hmm_mirror_fail fail;
	struct hmm_mirror_service service;
	struct hmm_mirror_query query;
	struct hmm_mirror_counters counters;
};

/* By number: what this module calls the whole of the argument. */
static const unsigned int hm_commands[] = {
	[_IOC_NR(HMM_MIRROR_IOC_INFO)] = HMM_MIRROR_IOC_INFO,
	[_IOC_NR(HMM_MIRROR_IOC_REGISTER)] = HMM_MIRROR_IOC_REGISTER,
	[_IOC_NR(HMM_MIRROR_IOC_ENGINE)] = HMM_MIRROR_IOC_ENGINE,
	[_IOC_NR(HMM_MIRROR_IOC_MIRROR)] = HMM_MIRROR_IOC_MIRROR,
	[_IOC_NR(HMM_MIRROR_IOC_MIGRATE)] = HMM_MIRROR_IOC_MIGRATE,
	[_IOC_NR(HMM_MIRROR_IOC_EVICT)] = HMM_MIRROR_IOC_EVICT,
	[_IOC_NR(HMM_MIRROR_IOC_REPLAY)] = HMM_MIRROR_IOC_REPLAY,
	[_IOC_NR(HMM_MIRROR_IOC_FAIL)] = HMM_MIRROR_IOC_FAIL,
	[_IOC_NR(HMM_MIRROR_IOC_SERVICE)] = HMM_MIRROR_IOC_SERVICE,
	[_IOC_NR(HMM_MIRROR_IOC_QUERY)] = HMM_MIRROR_IOC_QUERY,
	[_IOC_NR(HMM_MIRROR_IOC_COUNTERS)] = HMM_MIRROR_IOC_COUNTERS,
};

static long hm_dispatch(struct file *file, unsigned int nr, union hm_argument *arg)
{
	struct hm_context *ctx;

	switch (nr) {
	case _IOC_NR(HMM_MIRROR_IOC_INFO):
		return hm_ioctl_info(&arg->info);
	case _IOC_NR(HMM_MIRROR_IOC_REGISTER):
		return hm_ioctl_register(file, &arg->reg);
	}

	ctx = hm_context_of(file);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	switch (nr) {
	case _IOC_NR(HMM_MIRROR_IOC_ENGINE):
		return hm_engine_fd(ctx);
	case _IOC_NR(HMM_MIRROR_IOC_MIRROR):
	case _IOC_NR(HMM_MIRROR_IOC_MIGRATE):
	case _IOC_NR(HMM_MIRROR_IOC_EVICT):
	case _IOC_NR(HMM_MIRROR_IOC_REPLAY):
		return hm_ioctl_range(ctx, nr, &arg->range);
	case _IOC_NR(HMM_MIRROR_IOC_FAIL):
		return hm_ioctl_fail(ctx, &arg->fail);
	case _IOC_NR(HMM_MIRROR_IOC_SERVICE):
		return hm_ioctl_service(ctx, &arg->service);
	case _IOC_NR(HMM_MIRROR_IOC_QUERY):
		return hm_ioctl_query(ctx, &arg->query);
	case _IOC_NR(HMM_MIRROR_IOC_COUNTERS):
		return hm_ioctl_counters(ctx, &arg->counters);
	}
	return -ENOTTY;
}

static long hm_ioctl(struct file *file, unsigned int command, unsigned long uarg)
{
	void __user *user = (void __user *)uarg;
	unsigned int nr = _IOC_NR(command), size = _IOC_SIZE(command), ksize;
	union hm_argument arg;
	long ret;

	/* The size is the caller's own; everything else must be as we know it. */
	if (nr >= ARRAY_SIZE(hm_commands) ||
	    (command ^ hm_commands[nr]) & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT))
		return -ENOTTY;
	ksize = _IOC_SIZE(hm_commands[nr]);
	if (!ksize != !size)
		return -ENOTTY;

	memset(&arg, 0, sizeof(arg));
	if (_IOC_DIR(command) & _IOC_WRITE) {
		ret = copy_struct_from_user(&arg, ksize, user, size);
		if (ret)
			return ret;
	}
	ret = hm_dispatch(file, nr, &arg);
	if (ret >= 0 && _IOC_DIR(command) & _IOC_READ) {
		if (copy_to_user(user, &arg, min(size, ksize)))
			return -EFAULT;
		if (size > ksize && clear_user(user + ksize, size - ksize))
			return -EFAULT;
	}
	return ret;
}

static ssize_t hm_read(struct file *file, char __user *buffer, size_t size, loff_t *offset)
{
	struct hm_context *ctx = hm_context_of(file);

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	return hm_queue_read(ctx, buffer, size, file->f_flags & O_NONBLOCK);
}

static __poll_t hm_poll(struct file *file, poll_table *wait)
{
	struct hm_context *ctx = hm_context_or_null(file);

	if (!ctx)
		return EPOLLERR;
	poll_wait(file, &ctx->queue.readers, wait);
	if (READ_ONCE(ctx->dead))
		return EPOLLHUP;
	return list_empty_careful(&ctx->queue.unread) ? 0 : EPOLLIN | EPOLLRDNORM;
}

static const struct file_operations hm_fops = {
	.owner = THIS_MODULE,
	.open = hm_open,
	.release = hm_release,
	.read = hm_read,
	.poll = hm_poll,
	.unlocked_ioctl = hm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice hm_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "hmm_mirror",
	.fops = &hm_fops,
	.mode = 0660,
};

static int __init hm_init(void)
{
	int ret;

	if (!devices || devices > HM_DEVICES_MAX || !vram_mb || vram_mb > (SZ_1T >> 20))
		return -EINVAL;
	ret = hm_vram_init(devices, vram_mb);
	if (ret)
		return ret;
	ret = misc_register(&hm_device);
	if (ret)
		hm_vram_exit();
	return ret;
}

static void __exit hm_exit(void)
{
	misc_deregister(&hm_device);
	hm_vram_exit();
}

module_init(hm_init);
module_exit(hm_exit);
MODULE_DESCRIPTION("Mirror of a process's address space for a device, with migration to device memory");
MODULE_AUTHOR("MirrorCL");
MODULE_LICENSE("GPL");
