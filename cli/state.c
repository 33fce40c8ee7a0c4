/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "state.h"

void state_fail(struct state *state, const char *format, ...)
{
	va_list arguments;

	if (state->why[0])
		return;
	va_start(arguments, format);
	vsnprintf(state->why, sizeof(state->why), format, arguments);
	va_end(arguments);
}

void state_bytes(struct state *state, void *data, size_t length)
{
	if (length > state->size - state->used) {
		state_fail(state, "it is too %s", state->loading ? "short" : "long");
		if (state->loading)
			memset(data, 0, length);
		return;
	}
	if (state->loading)
		memcpy(data, state->data + state->used, length);
	else
		memcpy(state->data + state->used, data, length);
	state->used += length;
}

void state_bool(struct state *state, bool *value)
{
	uint8_t byte = *value;

	state_value(state, byte);
	if (byte > 1)
		state_fail(state, "neither yes nor no");
	*value = byte == 1;
}
