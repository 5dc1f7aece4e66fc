/* SPDX-License-Identifier: MIT */
/*
 * language.h - what people read, in their language: gettext's messages, of po/LANGUAGE.po.
 *
 * Sources and rows are in English.  Rows hold templates and their numbers, of which the scripts make
 * sentences in any language (scripts/language.py); translated here is only what is printed.
 */
#ifndef LANGUAGE_H
#define LANGUAGE_H

#include <stdbool.h>

/*
 * Chooses the language and how characters are written.  asked: a language's code ("ko"); NULL: that
 * of LC_ALL, LC_MESSAGES or LANG, the first that is set, or of LANGUAGE if they name any but "C".
 * That locale need not be installed.  Without messages in a language that was asked for the process
 * ends with EXIT_USAGE; else without them, or where characters are not UTF-8, it is English.
 */
void language_choose(const char *asked);

/* The text in that language, or itself where there is no other. */
const char *translated(const char *text) __attribute__((format_arg(1)));

/* For people in that language, else, as for rows, in English. */
const char *translated_if(bool shown, const char *text) __attribute__((format_arg(2)));

/* Marks a text that is translated where it is printed: scripts/messages finds it. */
#define MESSAGE(text) text

#endif
