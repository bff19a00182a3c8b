// SPDX-License-Identifier: MIT
/*
 * snprintf for kernels. POCL's device printf calls it for floating-point numbers only: once to build a format from strings and
 * widths, once to print the number. Integers, characters, strings and pointers are printed here; floating-point
 * conversions are the host's C library's business. Not here: %n, positions, wide characters, long double.
 */
#include <stdarg.h>

#include "engine/engine.h"

long mcl_format_double(const char *spec, uint32_t spec_size, double value, char *out, size_t size);

struct sink {
	char *out;
	size_t size, length; /* length counts what did not fit, too */
};

struct spec {
	bool left, plus, space, alt, zero;
	int width, precision; /* precision -1: none */
	int length; /* -2 hh, -1 h, 0 int, 1 long */
	char conversion;
};

static void put(struct sink *s, char c)
{
	if (s->length + 1 < s->size)
		s->out[s->length] = c;
	s->length++;
}

static void put_padded(struct sink *s, const struct spec *spec, const char *prefix, size_t prefix_size,
		       const char *text, size_t size, bool zeros)
{
	const size_t used = prefix_size + size, width = spec->width > 0 ? (size_t)spec->width : 0;
	size_t pad = width > used ? width - used : 0;

	if (!spec->left && !zeros)
		for (; pad; pad--)
			put(s, ' ');
	while (prefix_size--)
		put(s, *prefix++);
	if (!spec->left)
		for (; pad; pad--)
			put(s, '0');
	while (size--)
		put(s, *text++);
	for (; pad; pad--)
		put(s, ' ');
}

static void put_integer(struct sink *s, const struct spec *spec, uint64_t value, bool negative)
{
	const unsigned int base = spec->conversion == 'o'				    ? 8 :
				  (spec->conversion | 32) == 'x' || spec->conversion == 'p' ? 16 :
											      10;
	const char *const digits = spec->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[128], prefix[2], *p = text + sizeof(text);
	int wanted = spec->precision < 0 ? 1 : spec->precision > 100 ? 100 : spec->precision;
	size_t prefix_size = 0;
	uint64_t rest = value;

	for (; rest; rest /= base, wanted--)
		*--p = digits[rest % base];
	if (base == 8 && spec->alt && wanted < 1)
		wanted = 1;
	for (; wanted > 0; wanted--)
		*--p = '0';
	if (base == 10 && (negative || spec->plus || spec->space) && spec->conversion != 'u')
		prefix[prefix_size++] = negative ? '-' : spec->plus ? '+' : ' ';
	if (base == 16 && (spec->conversion == 'p' || (spec->alt && value))) {
		prefix[prefix_size++] = '0';
		prefix[prefix_size++] = spec->conversion == 'X' ? 'X' : 'x';
	}
	put_padded(s, spec, prefix, prefix_size, p, (size_t)(text + sizeof(text) - p),
		   spec->zero && spec->precision < 0 && !spec->left);
}

static uint64_t narrow_unsigned(uint64_t value, int length)
{
	return length == -2 ? (uint8_t)value : length == -1 ? (uint16_t)value : length == 0 ? (uint32_t)value : value;
}

static int64_t narrow_signed(int64_t value, int length)
{
	return length == -2 ? (int8_t)value : length == -1 ? (int16_t)value : length == 0 ? (int32_t)value : value;
}

static void put_double(struct sink *s, const char *text, size_t size, double value)
{
	char spec[64];
	char *const at = s->length < s->size ? s->out + s->length : s->out;
	const size_t room = s->length < s->size ? s->size - s->length : 0;
	long n;

	if (size >= sizeof(spec))
		return;
	memcpy(spec, text, size);
	spec[size] = 0;
	n = mcl_format_double(spec, (uint32_t)size + 1, value, at, room ? room - 1 : 0);
	if (n > 0)
		s->length += (size_t)n;
}

static int parse_number(const char **f)
{
	int n = 0;

	while (**f >= '0' && **f <= '9' && n < 100000)
		n = n * 10 + *(*f)++ - '0';
	return n;
}

static const char *parse_spec(const char *f, struct spec *spec)
{
	for (;; f++) {
		if (*f == '-')
			spec->left = true;
		else if (*f == '+')
			spec->plus = true;
		else if (*f == ' ')
			spec->space = true;
		else if (*f == '#')
			spec->alt = true;
		else if (*f == '0')
			spec->zero = true;
		else
			break;
	}
	spec->width = parse_number(&f);
	spec->precision = -1;
	if (*f == '.') {
		f++;
		spec->precision = parse_number(&f);
	}
	for (;; f++) {
		if (*f == 'h')
			spec->length--;
		else if (*f == 'l' || *f == 'z' || *f == 'j' || *f == 't')
			spec->length = 1;
		else
			break;
	}
	spec->conversion = *f;
	return f;
}

int mcl_kernel_snprintf(char *out, size_t size, const char *format, ...)
{
	struct sink s = { .out = out, .size = size };
	va_list ap;

	va_start(ap, format);
	for (const char *f = format; *f; f++) {
		const char *const start = f;
		struct spec spec = { 0 };
		const char *text;
		size_t length;
		int64_t i;
		char c;

		if (*f != '%') {
			put(&s, *f);
			continue;
		}
		f = parse_spec(f + 1, &spec);
		switch (spec.conversion) {
		case 'd':
		case 'i':
			i = narrow_signed(spec.length > 0 ? va_arg(ap, int64_t) : va_arg(ap, int), spec.length);
			put_integer(&s, &spec, i < 0 ? -(uint64_t)i : (uint64_t)i, i < 0);
			break;
		case 'u':
		case 'x':
		case 'X':
		case 'o':
			put_integer(&s, &spec,
				    narrow_unsigned(spec.length > 0 ? va_arg(ap, uint64_t) : va_arg(ap, unsigned int),
						    spec.length),
				    false);
			break;
		case 'p':
			put_integer(&s, &spec, (uint64_t)va_arg(ap, void *), false);
			break;
		case 'c':
			c = (char)va_arg(ap, int);
			put_padded(&s, &spec, "", 0, &c, 1, false);
			break;
		case 's':
			text = va_arg(ap, const char *);
			if (!text)
				text = "(null)";
			for (length = 0; text[length] && (spec.precision < 0 || length < (size_t)spec.precision);)
				length++;
			put_padded(&s, &spec, "", 0, text, length, false);
			break;
		case 'a':
		case 'A':
		case 'e':
		case 'E':
		case 'f':
		case 'F':
		case 'g':
		case 'G':
			put_double(&s, start, (size_t)(f + 1 - start), va_arg(ap, double));
			break;
		case '%':
			put(&s, '%');
			break;
		default:
			put(&s, '%');
			f = start;
			break;
		}
	}
	va_end(ap);
	if (size)
		out[s.length < size ? s.length : size - 1] = 0;
	return (int)s.length;
}
