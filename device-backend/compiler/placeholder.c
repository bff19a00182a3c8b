// SPDX-License-Identifier: MIT
/* Files instead of functions; see placeholder.h. */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/file.h"
#include "compiler/placeholder.h"
#include "compiler/pocl.h"

#define GLOBALS_KERNEL "pocl.gvar.init" /* POCL's name for the initialiser */
#define FILE_NAME "placeholder-%zu.so"
#define GROUP 64 /* kernels that share a file */
/* Where the linker puts the address at which a program starts, and nothing for a shared object. */
#define MARK UINT64_C(0x6c6f682d6c636d00)
/* POCL replaces the names of files that would become longer than a folder entry may be; those kernels are compiled. */
#define MAX_NAME 200
#define PAGE 4096u

static size_t count_names(const char *kernels)
{
	size_t count = *kernels != '\0';

	for (; *kernels; kernels++)
		count += *kernels == ';';
	return count;
}

/* The bytes of the first @count names of @kernels, with what separates them. */
static size_t names_size(const char *kernels, size_t count)
{
	const char *end = kernels;

	for (; count && *end; count--) {
		end += strcspn(end, ";");
		end += *end == ';';
	}
	return (size_t)(end - kernels);
}

bool mcl_placeholder_is(const void *bytes, size_t size)
{
	Elf64_Ehdr header;

	if (size < sizeof(header))
		return false;
	memcpy(&header, bytes, sizeof(header));
	return memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_entry == MARK;
}

/* Everything in one segment, which the dynamic linker also writes to: it turns the addresses in .dynamic into its own. */
uint8_t *mcl_placeholder_make(const char *kernels, size_t names, size_t *size)
{
	const size_t symbols = names + 1;
	const size_t dynamic_at = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr);
	const size_t symbols_at = dynamic_at + 6 * sizeof(Elf64_Dyn);
	const size_t hash_at = symbols_at + symbols * sizeof(Elf64_Sym);
	/* One bucket with all symbols in a chain. */
	const size_t strings_at = hash_at + (3 + symbols) * sizeof(uint32_t);
	const size_t strings_size = 1 + names_size(kernels, names) + names * sizeof("_pocl_kernel__workgroup");
	const Elf64_Dyn dynamic[6] = {
		{ DT_HASH, { hash_at } },	{ DT_STRTAB, { strings_at } },	      { DT_SYMTAB, { symbols_at } },
		{ DT_STRSZ, { strings_size } }, { DT_SYMENT, { sizeof(Elf64_Sym) } }, { DT_NULL, { 0 } },
	};
	uint8_t *bytes = calloc(1, strings_at + strings_size);
	Elf64_Ehdr *header = (Elf64_Ehdr *)bytes;
	Elf64_Phdr *part;
	Elf64_Sym *symbol;
	uint32_t *hash;
	char *string;

	if (!bytes)
		return NULL;
	*size = strings_at + strings_size;
	memcpy(header->e_ident, ELFMAG, SELFMAG);
	header->e_ident[EI_CLASS] = ELFCLASS64;
	header->e_ident[EI_DATA] = ELFDATA2LSB;
	header->e_ident[EI_VERSION] = EV_CURRENT;
	header->e_type = ET_DYN;
	header->e_machine = EM_X86_64;
	header->e_version = EV_CURRENT;
	header->e_entry = MARK;
	header->e_phoff = sizeof(*header);
	header->e_ehsize = sizeof(*header);
	header->e_phentsize = sizeof(*part);
	header->e_phnum = 3;
	part = (Elf64_Phdr *)(bytes + sizeof(*header));
	part[0] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_filesz = *size, .p_memsz = *size, .p_align = PAGE
	};
	part[1] = (Elf64_Phdr){
		.p_type = PT_DYNAMIC,
		.p_flags = PF_R | PF_W,
		.p_offset = dynamic_at,
		.p_vaddr = dynamic_at,
		.p_filesz = sizeof(dynamic),
		.p_memsz = sizeof(dynamic),
		.p_align = 8,
	};
	/* Without this the stack would have to become executable. */
	part[2] = (Elf64_Phdr){ .p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16 };
	memcpy(bytes + dynamic_at, dynamic, sizeof(dynamic));
	symbol = (Elf64_Sym *)(bytes + symbols_at);
	hash = (uint32_t *)(bytes + hash_at);
	hash[0] = 1;
	hash[1] = (uint32_t)symbols;
	hash[2] = symbols > 1; /* the bucket: symbol 0 is none */
	string = (char *)bytes + strings_at + 1;
	for (size_t i = 1; i < symbols; i++) {
		const int length = (int)strcspn(kernels, ";");

		symbol[i].st_name = (uint32_t)(string - (char *)bytes - strings_at);
		symbol[i].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
		symbol[i].st_shndx = 1;
		symbol[i].st_value = dynamic_at;
		symbol[i].st_size = 1;
		hash[3 + i] = i + 1 < symbols ? (uint32_t)i + 1 : 0;
		string += sprintf(string, "_pocl_kernel_%.*s_workgroup", length, kernels) + 1;
		kernels += length + (kernels[length] == ';');
	}
	return bytes;
}

static int file_name(char path[PATH_MAX], const char *folder, size_t group)
{
	return snprintf(path, PATH_MAX, "%s/" FILE_NAME, folder, group) >= PATH_MAX ? -EIO : 0;
}

/* The files that are to get many names. */
static int write_files(const char *folder, const char *kernels)
{
	size_t left = count_names(kernels), group, size;
	char path[PATH_MAX];
	int err = 0;

	for (group = 0; !err && left; group++) {
		const size_t count = left < GROUP ? left : GROUP;
		uint8_t *bytes = mcl_placeholder_make(kernels, count, &size);

		if (!bytes)
			return -ENOMEM;
		err = file_name(path, folder, group);
		if (!err && mcl_file_write(path, bytes, size, 0600))
			err = -EIO;
		free(bytes);
		kernels += names_size(kernels, count);
		left -= count;
	}
	return err;
}

/* One more name for @file: "<program>/<kernel>/<variant>/<kernel>.so". */
static int plant_one(const char *file, const char *program, const char *kernel, int kernel_length, const char *variant,
		     int variant_length)
{
	char path[PATH_MAX];
	size_t size = sizeof(path);

	if ((size_t)snprintf(path, size, "%s/%.*s/", program, kernel_length, kernel) >= size)
		return -EIO;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -EIO;
	if ((size_t)snprintf(path, size, "%s/%.*s/%.*s", program, kernel_length, kernel, variant_length, variant) >=
	    size)
		return -EIO;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -EIO;
	if ((size_t)snprintf(path, size, "%s/%.*s/%.*s/%.*s.so", program, kernel_length, kernel, variant_length,
			     variant, kernel_length, kernel) >= size)
		return -EIO;
	return link(file, path) < 0 && errno != EEXIST ? -EIO : 0;
}

static int plant_kernel(const char *file, const char *program, const char *kernel, int length,
			const struct mcl_selection *selection)
{
	const char *name = pocl_public_name(kernel);
	const bool wanted = selection->kernel && strlen(selection->kernel) == (size_t)(kernel + length - name) &&
			    strncmp(selection->kernel, name, strlen(selection->kernel)) == 0;
	int err = 0;

	if (length > MAX_NAME)
		return 0;
	if (!wanted || !selection->generic)
		err = plant_one(file, program, kernel, length, "0-0-0", 5);
	for (const char *variant = selection->variants; !err && !wanted && variant && *variant;) {
		const int variant_length = (int)strcspn(variant, ",");

		err = plant_one(file, program, kernel, length, variant, variant_length);
		variant += variant_length + (variant[variant_length] == ',');
	}
	return err;
}

static int remove_code(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	/* Not the program's own files. */
	if (ftw->level > 1 || (ftw->level == 1 && type == FTW_DP))
		remove(path);
	return 0;
}

struct planting {
	const char *folder, *kernels;
	const struct mcl_selection *selection;
	struct timespec newest; /* of the programs' intermediate code */
};

static bool later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* When the program was made. Returns whether @program is the folder of one. */
static bool program_time(const char *program, struct timespec *out)
{
	char path[PATH_MAX];
	struct stat st;

	if ((size_t)snprintf(path, sizeof(path), "%s/program.bc", program) >= sizeof(path) || stat(path, &st) < 0)
		return false;
	*out = st.st_mtim;
	return true;
}

static int note_newest(const char *program, struct planting *p)
{
	struct timespec t;

	if (program_time(program, &t) && later(&t, &p->newest))
		p->newest = t;
	return 0;
}

/* Not in what was linked to the program, which is older: that would be the square of its number. */
static int plant_program(const char *program, struct planting *p)
{
	const char *kernels = p->kernels;
	char file[PATH_MAX];
	struct timespec t;
	int err = 0;

	if (!program_time(program, &t) || later(&p->newest, &t))
		return 0;
	/* What an earlier job of the process (serve.h) left: code, and placeholders for what is wanted now. */
	nftw(program, remove_code, 16, FTW_DEPTH | FTW_PHYS);
	for (size_t i = 0; !err && *kernels; i++) {
		const int length = (int)strcspn(kernels, ";");

		err = file_name(file, p->folder, i / GROUP);
		if (!err)
			err = plant_kernel(file, program, kernels, length, p->selection);
		kernels += length + (kernels[length] == ';');
	}
	return err;
}

/* POCL's folders of programs are "<folder>/<two letters>/<the rest>", with the intermediate code in it. */
static int for_each_program(const char *folder, int depth, int (*fn)(const char *program, struct planting *p),
			    struct planting *p)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return -EIO;
	while (!err && (entry = readdir(dir))) {
		char path[PATH_MAX];

		if (entry->d_name[0] == '.' || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) ||
		    (size_t)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= sizeof(path))
			continue;
		err = depth == 0 ? for_each_program(path, 1, fn, p) : fn(path, p);
	}
	closedir(dir);
	return err;
}

int mcl_placeholder_plant(const char *folder, const char *kernels, const struct mcl_selection *selection)
{
	struct planting p = { .folder = folder, .selection = selection };
	char *names = NULL;
	int err;

	if (!selection->partial)
		return 0;
	if (asprintf(&names, "%s%s", kernels, selection->kernel ? ";" GLOBALS_KERNEL : "") < 0)
		return -ENOMEM;
	p.kernels = names;
	err = write_files(folder, names);
	if (!err)
		err = for_each_program(folder, 0, note_newest, &p);
	if (!err)
		err = for_each_program(folder, 0, plant_program, &p);
	free(names);
	return err;
}
