#include "src/core/timer.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

double fnr_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void fnr_utc_now(char buf[32])
{
    const time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    if (strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        buf[0] = 0;
    }
}

void fnr_format_duration(double seconds, char buf[32])
{
    if (!(seconds >= 0) || seconds > 1e11) {
        snprintf(buf, 32, "?");
        return;
    }
    if (seconds < 9.95) {
        snprintf(buf, 32, "%.1f s", seconds);
        return;
    }
    const long long s = llround(seconds); /* rounded once, so that 59.7 s is "1 min 00 s" and never "60 s" */
    const long long minutes = (s + 30) / 60;
    if (s < 60) {
        snprintf(buf, 32, "%lld s", s);
    } else if (s < 3600) {
        snprintf(buf, 32, "%lld min %02lld s", s / 60, s % 60);
    } else if (minutes < 24 * 60) {
        snprintf(buf, 32, "%lld h %02lld min", minutes / 60, minutes % 60);
    } else {
        const long long hours = (s + 1800) / 3600;
        snprintf(buf, 32, "%lld d %02lld h", hours / 24, hours % 24);
    }
}
