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
#include <linux/page_table_check.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static unsigned int devices = 1;
module_param(devices, uint, 0444);
MODULE_PARM_DESC(devices, "Number of devices, each with its own VRAM (1 to 16)");

static unsigned long vram_mb = 256;
module_param(vram_mb, ulong, 0444);
MODULE_PARM_DESC(vram_mb, "VRAM of each device, in MiB; taken from the system's memory when used");

static unsigned long quota_mb;
module_param(quota_mb, ulong, 0444);
MODULE_PARM_DESC(quota_mb, "VRAM that a registration gets at most, in MiB (0: all of a device)");

static unsigned int around_kb = 64;
module_param(around_kb, uint, 0444);
MODULE_PARM_DESC(around_kb, "KiB that come home with a 4 KiB page that the host touches (4 to 2048)");

static bool huge_vram = true;
module_param(huge_vram, bool, 0444);
MODULE_PARM_DESC(huge_vram, "Whether pages of 2 MiB stay such in VRAM");

/* Bytes of VRAM of each device. */
u64 hm_vram_size(void)
{
	return IS_ENABLED(CONFIG_DEVICE_PRIVATE) ? (u64)vram_mb << 20 : 0;
}

u64 hm_vram_quota_max(void)
{
	return min(quota_mb ? (u64)quota_mb << 20 : U64_MAX, hm_vram_size());
}

/* What may be given for bytes around a page. */
static bool hm_around_valid(u64 around)
{
	return around >= PAGE_SIZE && around <= HM_BLOCK_SIZE && is_power_of_2(around);
}

bool hm_vram_huge(void)
{
	return huge_vram;
}

unsigned int hm_around_default(void)
{
	return around_kb << 10;
}

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
	return stream_open(inode, file);
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
		.capabilities = HMM_MIRROR_CAP_MIRROR |
				(private && huge_vram ? HMM_MIRROR_CAP_HUGE : 0) |
				HMM_MIRROR_CAP_SERVICE | HMM_MIRROR_CAP_EVENTS |
				(private ? HMM_MIRROR_CAP_MIGRATE : 0) |
				(HM_CAN_EXCLUDE ? HMM_MIRROR_CAP_EXCLUSIVE : 0),
		.vram_size = hm_vram_size(),
		.vram_used = hm_vram_used(0),
		.queue_max = HM_QUEUE_MAX,
		.fault_size = sizeof(struct hmm_mirror_fault),
		.event_size = sizeof(struct hmm_mirror_event),
		.vram_quota_max = hm_vram_quota_max(),
	};
	return 0;
}

static long hm_ioctl_register(struct file *file, const struct hmm_mirror_register *reg)
{
	struct hm_file *hf = file->private_data;
	struct hm_context *ctx;
	long ret = 0;

	if (reg->flags & ~HMM_MIRROR_REGISTER_EVENTS || reg->pad || reg->device >= devices ||
	    reg->queue_size > HM_QUEUE_MAX || (reg->around && !hm_around_valid(reg->around)))
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

/* Whether the flags are known and make sense. */
static bool hm_range_flags(unsigned int nr, const struct hmm_mirror_range *range)
{
	u32 known = 0;

	if (nr == _IOC_NR(HMM_MIRROR_IOC_MIRROR))
		known = HMM_MIRROR_WRITE | HMM_MIRROR_PRESENT | HMM_MIRROR_EXCLUSIVE |
			HMM_MIRROR_HOLD;
	else if (nr == _IOC_NR(HMM_MIRROR_IOC_MIGRATE))
		known = HMM_MIRROR_HOLD;
	if (nr != _IOC_NR(HMM_MIRROR_IOC_REPLAY))
		known |= HMM_MIRROR_CAUSE_MASK;
	if (range->flags & ~known || range->pad)
		return false;
	if (range->flags & HMM_MIRROR_EXCLUSIVE && range->flags & HMM_MIRROR_PRESENT)
		return false;
	if (range->results &&
	    (nr != _IOC_NR(HMM_MIRROR_IOC_MIGRATE) || range->size > SZ_1G))
		return false;
	return (range->flags & HMM_MIRROR_CAUSE_MASK) <=
	       HMM_MIRROR_CAUSE(HMM_MIRROR_CAUSE_ROOM);
}

static long hm_ioctl_range(struct hm_context *ctx, unsigned int nr, struct hmm_mirror_range *range)
{
	enum hmm_mirror_cause cause = (range->flags & HMM_MIRROR_CAUSE_MASK) >>
				      HMM_MIRROR_CAUSE_SHIFT;
	unsigned long first, last;
	long ret;

	if (!hm_range_flags(nr, range))
		return -EINVAL;
	ret = hm_range(range->start, range->size, &first, &last);
	if (ret)
		return ret;
	range->done = 0;
	range->left = 0;

	switch (nr) {
	case _IOC_NR(HMM_MIRROR_IOC_MIRROR):
		if (range->flags & HMM_MIRROR_EXCLUSIVE)
			ret = hm_exclusive_range(ctx, first, last, cause, &range->done);
		else
			ret = hm_mirror_range(ctx, first, last, range->flags, &range->done);
		range->left = last - first + 1 - range->done;
		if (range->done)
			ret = 0;
		break;
	case _IOC_NR(HMM_MIRROR_IOC_MIGRATE):
		ret = hm_migrate_range(ctx, first, last, cause, u64_to_user_ptr(range->results),
				       &range->done, &range->left);
		break;
	case _IOC_NR(HMM_MIRROR_IOC_EVICT):
		return hm_evict_range(ctx, first, last, cause, &range->done, &range->left);
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
	ret = hm_service_set(&ctx->service, first, last,
			     service->mode == HMM_MIRROR_SERVICE_KERNEL);
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
				   (entry & HM_PTE_HUGE ? HMM_MIRROR_PAGE_HUGE : 0) |
				   (entry & HM_PTE_EXCLUSIVE ? HMM_MIRROR_PAGE_EXCLUSIVE : 0);
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

static long hm_ioctl_trim(struct hm_context *ctx, struct hmm_mirror_trim *trim)
{
	u64 done = 0;
	long ret;

	if (trim->size & ~PAGE_MASK)
		return -EINVAL;
	ret = hm_trim(ctx, trim->size >> PAGE_SHIFT, &done);
	trim->done = done << PAGE_SHIFT;
	return ret;
}

static long hm_ioctl_moves(struct hm_context *ctx, struct hmm_mirror_moves *moves)
{
	unsigned int way, cause, size;

	for (way = 0; way < HMM_MIRROR_WAY_MAX; way++)
		for (cause = 0; cause < HMM_MIRROR_CAUSE_MAX; cause++)
			for (size = 0; size < HMM_MIRROR_SIZE_MAX; size++)
				hm_moves_get(&ctx->account->moves, way, cause, size,
					     &moves->move[way][cause][size]);
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
	struct hmm_mirror_trim trim;
	struct hmm_mirror_moves moves;	/* kmalloc'd: too large for the stack */
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
	[_IOC_NR(HMM_MIRROR_IOC_TRIM)] = HMM_MIRROR_IOC_TRIM,
	[_IOC_NR(HMM_MIRROR_IOC_MOVES)] = HMM_MIRROR_IOC_MOVES,
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
	case _IOC_NR(HMM_MIRROR_IOC_TRIM):
		return hm_ioctl_trim(ctx, &arg->trim);
	case _IOC_NR(HMM_MIRROR_IOC_MOVES):
		return hm_ioctl_moves(ctx, &arg->moves);
	}
	return -ENOTTY;
}

/* What most arguments fit into. */
#define HM_ARGUMENT_SMALL sizeof(struct hmm_mirror_counters)

static long hm_ioctl(struct file *file, unsigned int command, unsigned long uarg)
{
	unsigned long small[DIV_ROUND_UP(HM_ARGUMENT_SMALL, sizeof(long))] = { 0 };
	unsigned int nr = _IOC_NR(command), size = _IOC_SIZE(command), ksize;
	void __user *user = (void __user *)uarg;
	void *arg = small;
	long ret;

	/* The size is the caller's own; everything else must be as we know it. */
	if (nr >= ARRAY_SIZE(hm_commands) ||
	    (command ^ hm_commands[nr]) & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT))
		return -ENOTTY;
	ksize = _IOC_SIZE(hm_commands[nr]);
	if (!ksize != !size)
		return -ENOTTY;

	if (ksize > sizeof(small)) {
		arg = kzalloc(ksize, GFP_KERNEL_ACCOUNT);
		if (!arg)
			return -ENOMEM;
	}
	ret = 0;
	if (_IOC_DIR(command) & _IOC_WRITE)
		ret = copy_struct_from_user(arg, ksize, user, size);
	if (!ret)
		ret = hm_dispatch(file, nr, arg);
	if (ret >= 0 && _IOC_DIR(command) & _IOC_READ &&
	    (copy_to_user(user, arg, min(size, ksize)) ||
	     (size > ksize && clear_user(user + ksize, size - ksize))))
		ret = -EFAULT;
	if (arg != small)
		kfree(arg);
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

/*
 * Kernels can be told to stop when a process maps another's anonymous memory. That is what
 * an engine does, for want of page tables of its own kind.
 */
static bool __init hm_is_forbidden(void)
{
#ifdef CONFIG_PAGE_TABLE_CHECK
	if (!static_branch_likely(&page_table_check_disabled)) {
		pr_err("hmm_mirror: not with page table checks; boot with page_table_check=off\n");
		return true;
	}
#endif
	return false;
}

static int __init hm_init(void)
{
	int ret;

	if (hm_is_forbidden())
		return -EOPNOTSUPP;
	if (!devices || devices > HM_DEVICES_MAX || !vram_mb || vram_mb > (SZ_1T >> 20) ||
	    !hm_around_valid((u64)around_kb << 10))
		return -EINVAL;
	ret = hm_vram_init(devices, vram_mb);
	if (ret)
		return ret;
	hm_debugfs_init(devices);
	ret = misc_register(&hm_device);
	if (ret) {
		hm_debugfs_exit();
		hm_vram_exit();
	}
	return ret;
}

static void __exit hm_exit(void)
{
	misc_deregister(&hm_device);
	hm_debugfs_exit();
	hm_vram_exit();
}

module_init(hm_init);
module_exit(hm_exit);
MODULE_DESCRIPTION("Mirror of a process's address space for a device, with migration to device memory");
MODULE_AUTHOR("MirrorCL");
MODULE_LICENSE("GPL");
