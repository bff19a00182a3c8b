// SPDX-License-Identifier: MIT
/* Serving one program; see serve.h. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/file.h"
#include "compiler/serve.h"
#include "compiler/translate.h"
#include "compiler/verdict.h"

#define JOB_FILE "job.mclo"

static bool send_all(int socket, const void *bytes, size_t size)
{
	while (size) {
		ssize_t n = send(socket, bytes, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes = (const uint8_t *)bytes + n;
		size -= (size_t)n;
	}
	return true;
}

static bool receive_all(int socket, void *bytes, size_t size)
{
	while (size) {
		ssize_t n = recv(socket, bytes, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes = (uint8_t *)bytes + n;
		size -= (size_t)n;
	}
	return true;
}

void mcl_serve_verdict(int socket, int verdict)
{
	const struct mcl_serve_answer answer = { .magic = MCL_SERVE_MAGIC, .verdict = (uint32_t)verdict };

	send_all(socket, &answer, sizeof(answer));
}

static int work(struct mcl_translation *t, const char *folder, const struct mcl_selection *selection, bool jam)
{
	struct mcl_reason why = { "no memory" };
	char path[PATH_MAX];
	uint8_t *code;
	size_t size;
	int err = mcl_translate_code(t, folder, selection, jam, &code, &size, &why);

	snprintf(path, sizeof(path), "%s/" JOB_FILE, folder);
	if (!err && mcl_file_write(path, code, size, 0600))
		err = mcl_reason(&why, -EIO, "cannot write to %s: %s", folder, strerror(errno));
	if (err)
		fprintf(stderr, "mirrorcl-cc: %s\n", why.text);
	return mcl_verdict_of(err);
}

/* One job in a fork. Returns its verdict, or -1: nobody wants to know any more. */
static int run_job(int socket, struct mcl_translation *t, const char *folder, const struct mcl_selection *selection,
		   bool jam)
{
	char path[PATH_MAX];
	const pid_t self = getpid();
	pid_t child;
	int status, pidfd;

	snprintf(path, sizeof(path), "%s/" JOB_FILE, folder);
	unlink(path);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != self)
			_exit(MCL_VERDICT_CRASHED);
		status = work(t, folder, selection, jam);
		fflush(NULL);
		_exit(status);
	}
	if (child < 0) {
		fprintf(stderr, "mirrorcl-cc: cannot start a process: %s\n", strerror(errno));
		return MCL_VERDICT_ENVIRONMENT;
	}
	pidfd = pidfd_open(child, 0);
	if (pidfd >= 0) {
		struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN }, { .fd = socket, .events = POLLRDHUP } };

		while (poll(fds, 2, -1) < 0 && errno == EINTR)
			;
		close(pidfd);
		if (!fds[0].revents) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			return -1;
		}
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "mirrorcl-cc: the compiler crashed (%s)\n", strsignal(WTERMSIG(status)));
	return MCL_VERDICT_CRASHED;
}

/* Answer for a job that ended with @verdict. Returns whether there is somebody who listens. */
static bool answer_job(int socket, const char *folder, int verdict)
{
	struct mcl_serve_answer answer = { .magic = MCL_SERVE_MAGIC };
	char path[PATH_MAX];
	void *code = NULL;
	size_t size = 0;
	bool ok;

	snprintf(path, sizeof(path), "%s/" JOB_FILE, folder);
	if (verdict == MCL_VERDICT_OK && mcl_file_read(path, &code, &size)) {
		fprintf(stderr, "mirrorcl-cc: cannot read %s: %s\n", path, strerror(errno));
		verdict = MCL_VERDICT_ENVIRONMENT;
	}
	answer.verdict = (uint32_t)verdict;
	answer.size = size;
	ok = send_all(socket, &answer, sizeof(answer)) && send_all(socket, code, size);
	free(code);
	return ok;
}

/* Do a job and answer. Returns whether there is somebody who listens. */
static bool serve_job(int socket, struct mcl_translation *t, const char *folder, const struct mcl_selection *selection,
		      bool jam)
{
	const int verdict = run_job(socket, t, folder, selection, jam);

	return verdict >= 0 && answer_job(socket, folder, verdict);
}

/* Describe the program, or if it is only compiled say that it is. Returns whether to go on. */
static bool serve_first(int socket, struct mcl_translation *t, const char *folder)
{
	/* A description of a single kernel would save nothing. */
	const bool single = !t->check_only && mcl_translate_kernels(t) == 1;
	const struct mcl_selection first = { .partial = !single, .generic = true };

	/* Without a fork: this process has done what it can then. Another one is soon there, if it is asked for at all. */
	if (single && t->once && t->from_nursery) {
		answer_job(socket, folder, work(t, folder, &first, false));
		return false;
	}
	return serve_job(socket, t, folder, &first, false);
}

static bool serve_kernel(int socket, struct mcl_translation *t, const char *folder,
			 const struct mcl_serve_request *request, const char *name)
{
	struct mcl_selection selection = { .partial = true, .kernel = name, .generic = !request->local_size[0] };
	char variant[64] = "";

	if (request->local_size[0])
		snprintf(variant, sizeof(variant), "%u-%u-%u-goffs0", request->local_size[0], request->local_size[1],
			 request->local_size[2]);
	selection.variants = variant;
	return serve_job(socket, t, folder, &selection, request->jam);
}

/* Returns whether to go on. */
static bool serve_request(int socket, struct mcl_translation *t, const char *folder, int (*link)(void *ctx), void *ctx)
{
	struct mcl_serve_request request;
	char *name;
	bool ok;

	if (!receive_all(socket, &request, sizeof(request)) || request.magic != MCL_SERVE_MAGIC ||
	    request.name_size > MCL_SERVE_MAX_NAME || !request.link == t->check_only)
		return false;
	if (request.link) {
		const int verdict = link(ctx);

		if (verdict == MCL_VERDICT_OK)
			return serve_first(socket, t, folder);
		mcl_serve_verdict(socket, verdict);
		return false;
	}
	name = calloc(1, request.name_size + 1);
	ok = name && receive_all(socket, name, request.name_size) && serve_kernel(socket, t, folder, &request, name);
	free(name);
	return ok;
}

int mcl_serve(int socket, struct mcl_translation *t, const char *folder, int (*link)(void *ctx), void *ctx)
{
	struct pollfd wait = { .fd = socket, .events = POLLIN };

	if (!serve_first(socket, t, folder))
		return MCL_VERDICT_OK;
	for (;;) {
		const int ready = poll(&wait, 1, MCL_SERVE_IDLE_S * 1000);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0 || !serve_request(socket, t, folder, link, ctx))
			return MCL_VERDICT_OK;
	}
}
