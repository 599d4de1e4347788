#ifndef FNR_CORE_TIMER_H
#define FNR_CORE_TIMER_H

/* Monotonic seconds; only differences mean something. */
double fnr_now_s(void);

/* "2026-01-31T12:00:00Z"; buf holds at least 32 bytes. */
void fnr_utc_now(char buf[32]);

/* "2 d 03 h", "1 h 02 min", "3 min 20 s", "12 s", "4.5 s"; "?" for what is no duration; buf holds at least 32 bytes. */
void fnr_format_duration(double seconds, char buf[32]);

#endif
