/* What settings.c needs to know about our INI files; not for other rooms. */
#ifndef FNR_CORE_SETTINGS_INI_H
#define FNR_CORE_SETTINGS_INI_H

#include "src/core/settings.h"

/* Most bytes of a value of this row that fit, with its name, on one line of an INI file. */
size_t fnr_ini_value_max(const fnr_setting *row);

#endif
