/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

struct rows {
	FILE *file;
	char *path; /* the final name; NULL = written in place */
	char *part; /* the name until then */
};

json_t *rows_text(const char *text)
{
	json_t *string = json_string(text);
	char *copy;

	if (string)
		return string;
	copy = check_alloc(strdup(text)); /* not UTF-8: keep what is ASCII */
	for (char *c = copy; *c; c++)
		*c = (char)((unsigned char)*c < 0x80 ? *c : '?');
	string = json_string(copy);
	free(copy);
	return string;
}

void rows_add(json_t *object, const struct field *fields)
{
	for (const struct field *f = fields; f && f->name; f++) {
		json_t *value;

		if (f->text)
			value = rows_text(f->text);
		else if (f->real)
			value = isfinite(*f->real) ? json_real(*f->real) : json_null();
		else
			value = json_integer(f->num);
		if (json_object_set_new(object, f->name, value) != 0)
			errx(2, "out of memory for a row");
	}
}

/* Opens and locks the .part file; a name that another run renamed meanwhile is tried again. */
static int open_part(const char *part)
{
	struct stat opened;
	struct stat named;

	for (;;) {
		int fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			close(fd);
			errno = EBUSY;
			return -1;
		}
		if (fstat(fd, &opened) == 0 && stat(part, &named) == 0 &&
		    opened.st_ino == named.st_ino) {
			if (ftruncate(fd, 0) == 0)
				return fd;
			close(fd);
			return -1;
		}
		close(fd);
	}
}

struct rows *rows_open(const char *path)
{
	struct rows *rows = calloc(1, sizeof(*rows));
	struct stat st;
	int fd;

	if (!rows)
		return NULL;
	if (strcmp(path, "-") == 0) {
		rows->file = stdout;
		return rows;
	}
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
	} else {
		if (asprintf(&rows->part, "%s.part", path) < 0 || !(rows->path = strdup(path)))
			err(2, "asprintf");
		fd = open_part(rows->part);
	}
	if (fd >= 0)
		rows->file = fdopen(fd, "w");
	if (!rows->file) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		free(rows->part);
		free(rows->path);
		free(rows);
		errno = error;
		return NULL;
	}
	return rows;
}

int rows_write(struct rows *rows, const json_t *row)
{
	size_t flags = JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(ROWS_DIGITS);

	errno = 0;
	if (json_dumpf(row, rows->file, flags) != 0 || putc('\n', rows->file) == EOF ||
	    fflush(rows->file) != 0)
		return errno ? errno : EIO;
	return 0;
}

int rows_write_text(struct rows *rows, const char *text, size_t length)
{
	errno = 0;
	if (fwrite(text, 1, length, rows->file) != length || fflush(rows->file) != 0)
		return errno ? errno : EIO;
	return 0;
}

/* A rename is on disk once its directory is. */
static void sync_directory_of(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd); /* not every file system can; the file's own fsync counts */
		close(fd);
	}
	free(copy);
}

static void release(struct rows *rows)
{
	if (rows->file && rows->file != stdout)
		fclose(rows->file);
	free(rows->part);
	free(rows->path);
	free(rows);
}

int rows_keep(struct rows *rows)
{
	int error = 0;

	errno = 0;
	if (fflush(rows->file) != 0 || ferror(rows->file)) /* which may be of an earlier write */
		error = errno ? errno : EIO;
	if (!error && rows->path) {
		if (fsync(fileno(rows->file)) != 0 || rename(rows->part, rows->path) != 0)
			error = errno;
		else
			sync_directory_of(rows->path);
	}
	if (error && rows->part)
		unlink(rows->part);
	release(rows);
	return error;
}

void rows_drop(struct rows *rows)
{
	if (rows->part)
		unlink(rows->part);
	release(rows);
}
