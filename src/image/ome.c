/* OME-XML in the ImageDescription of the first directory. */
#include "src/image/meta.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <libxml/xmlreader.h>

static bool attribute_text(xmlTextReaderPtr reader, const char *name, char *out, size_t size)
{
    xmlChar *value = xmlTextReaderGetAttribute(reader, (const xmlChar *)name);
    const bool fits = value && strlen((const char *)value) < size;
    if (fits) {
        snprintf(out, size, "%s", (const char *)value);
    }
    xmlFree(value);
    return fits;
}

static int attribute_extent(xmlTextReaderPtr reader, const char *name)
{
    char text[32];
    double value = 0;
    const bool ok = attribute_text(reader, name, text, sizeof text) && fnr_parse_number(text, NULL, &value);
    return ok && value >= 1 && value <= 1e6 ? (int)value : 1;
}

static double attribute_nm(xmlTextReaderPtr reader, const char *name, const char *unit_name)
{
    char text[64], unit[32] = "um"; /* the schema's default */
    double value;
    if (!attribute_text(reader, name, text, sizeof text) || !fnr_parse_number(text, NULL, &value)) {
        return 0;
    }
    attribute_text(reader, unit_name, unit, sizeof unit);
    return fnr_length_nm(value, fnr_unit_to_nm(unit));
}

static void read_pixels(xmlTextReaderPtr reader, fnr_ome *out)
{
    attribute_text(reader, "DimensionOrder", out->order, sizeof out->order);
    out->size_z = attribute_extent(reader, "SizeZ");
    out->size_c = attribute_extent(reader, "SizeC");
    out->size_t_ = attribute_extent(reader, "SizeT");
    out->nm_x = attribute_nm(reader, "PhysicalSizeX", "PhysicalSizeXUnit");
    out->nm_y = attribute_nm(reader, "PhysicalSizeY", "PhysicalSizeYUnit");
}

static void silent(void *context, const char *message, xmlParserSeverities severity, xmlTextReaderLocatorPtr locator)
{
    (void)context, (void)message, (void)severity, (void)locator;
}

/* Stops at the first Pixels: thousands of Plane elements behind it need no parsing. */
static bool find_pixels(xmlTextReaderPtr reader)
{
    bool in_ome = false;
    while (xmlTextReaderRead(reader) == 1) {
        if (xmlTextReaderNodeType(reader) != XML_READER_TYPE_ELEMENT) {
            continue;
        }
        const char *name = (const char *)xmlTextReaderConstLocalName(reader);
        if (!in_ome && strcmp(name, "OME") != 0) {
            return false; /* another vocabulary */
        }
        in_ome = true;
        if (strcmp(name, "Pixels") == 0) {
            return true;
        }
    }
    return false;
}

bool fnr_ome_parse(const char *text, fnr_ome *out)
{
    *out = (fnr_ome){.size_z = 1, .size_c = 1, .size_t_ = 1};
    const size_t size = strlen(text);
    /* OME has no document type; without one there are no entities to expand. */
    if (size > INT32_MAX || !strstr(text, "OME") || strstr(text, "<!DOCTYPE")) {
        return false;
    }
    xmlTextReaderPtr reader =
        xmlReaderForMemory(text, (int)size, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!reader) {
        return false;
    }
    xmlTextReaderSetErrorHandler(reader, silent, NULL);
    const bool found = find_pixels(reader);
    if (found) {
        read_pixels(reader, out);
    }
    xmlFreeTextReader(reader);
    return found;
}
