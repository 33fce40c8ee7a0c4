/* SPDX-License-Identifier: MIT */
/* A writer of JSON: keys in the order they are written, two spaces a level, ASCII only. */
#ifndef ANYKVM_EXPLORE_REPORT_JSON_H
#define ANYKVM_EXPLORE_REPORT_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	unsigned depth;
	bool filled; /* the innermost object or array has something in it */
};

/* key: NULL in arrays and for the whole. */
void json_open(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket); /* '}' or ']'; behind the outermost also a newline */
void json_string(struct json *j, const char *key, const char *value); /* NULL: null */
void json_number(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);
/* 0 to 1 with three digits. */
void json_share(struct json *j, const char *key, double value);
void json_hex(struct json *j, const char *key, uint64_t value);

#endif
