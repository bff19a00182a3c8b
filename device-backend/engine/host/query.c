// SPDX-License-Identifier: MIT
/* What can be said of the device without starting it. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/host/backend_private.h"
#include "engine/host/query.h"
#include "support/config.h"

static uint64_t read_number(const char *path)
{
	unsigned long long value = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return 0;
	if (fscanf(f, "%llu", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

static uint32_t cpu_mhz(void)
{
	const uint64_t khz = read_number("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
	char line[256];
	double mhz = 0;
	FILE *f;

	if (khz)
		return (uint32_t)(khz / 1000);
	f = fopen("/proc/cpuinfo", "re");
	if (!f)
		return 0;
	while (!mhz && fgets(line, sizeof(line), f))
		if (sscanf(line, "cpu MHz : %lf", &mhz) != 1)
			mhz = 0;
	fclose(f);
	return (uint32_t)mhz;
}

uint32_t mcl_query_processors(void)
{
	int count = 0;

	/* Machines with more processors than a cpu_set_t holds need a larger one. */
	for (int cpus = CPU_SETSIZE; !count && cpus <= 64 * CPU_SETSIZE; cpus *= 4) {
		const size_t size = CPU_ALLOC_SIZE(cpus);
		cpu_set_t *set = CPU_ALLOC(cpus);

		if (set && !sched_getaffinity(0, size, set))
			count = CPU_COUNT_S(size, set);
		CPU_FREE(set);
	}
	return count < 1 ? 1 : (uint32_t)count;
}

uint32_t mcl_query_compute_units(void)
{
	const uint32_t asked = mcl_config()->compute_units;
	const uint32_t units = asked ? asked : mcl_query_processors();

	return units < MCL_MAX_CUS ? units : MCL_MAX_CUS;
}

uint64_t mcl_query_vram_size(const struct mcl_mirror_ops *ops, uint64_t system)
{
	const uint64_t wanted = mcl_config()->vram ? mcl_config()->vram : system / 4;

	if (!ops || !ops->faults)
		return 0;
	return ops->vram_size ? ops->vram_size(wanted) : wanted;
}

void mcl_backend_query(struct mcl_backend_caps *caps)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct mcl_mirror_ops *ops;
	long value;

	memset(caps, 0, sizeof(*caps));
	ops = mcl_mirror_choose(&caps->limited);
	if (ops) {
		snprintf(caps->mirror, sizeof(caps->mirror), "%s", ops->name);
		caps->available = true;
		caps->system_svm = true;
		caps->svm_atomics = true;
	}
	caps->compute_units = mcl_query_compute_units();
	caps->global_mem_size = (uint64_t)sysconf(_SC_PHYS_PAGES) * page;
	caps->vram_size = mcl_query_vram_size(ops, caps->global_mem_size);
	caps->local_mem_size = MCL_LOCAL_MEM_SIZE;
	caps->max_alloc_size = caps->global_mem_size / 2;
	caps->max_param_size = MCL_MAX_PARAM_SIZE;
	caps->max_work_group_size = 4096;
	caps->printf_buffer_size = MCL_CU_PRINTF_SIZE;
	caps->max_global_variable_size = MCL_MAX_GLOBAL_VARIABLE_SIZE;
	value = sysconf(_SC_LEVEL1_DCACHE_LINESIZE);
	caps->cacheline_size = value > 0 ? (uint32_t)value : 64;
	value = sysconf(_SC_LEVEL3_CACHE_SIZE);
	if (value <= 0)
		value = sysconf(_SC_LEVEL2_CACHE_SIZE);
	caps->cache_size = value > 0 ? (uint64_t)value : 0;
	caps->clock_mhz = cpu_mhz();
}
