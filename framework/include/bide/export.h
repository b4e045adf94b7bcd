/* bide/export.h: which symbols libbide shows to other programs.
 *
 * Everything is compiled with hidden visibility; what carries BIDE_API is the whole public interface. */
#ifndef BIDE_EXPORT_H
#define BIDE_EXPORT_H

#if defined(__GNUC__)
#define BIDE_API __attribute__((visibility("default")))
#define BIDE_PRINTF(text, args) __attribute__((format(printf, text, args)))
#define BIDE_MUST_USE __attribute__((warn_unused_result))
#else
#define BIDE_API
#define BIDE_PRINTF(text, args)
#define BIDE_MUST_USE
#endif

#endif
