/* libxml2 as a forgiving source of element events. */
#include "src/geom/trakem2_parts.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>

typedef struct {
    const fnr_t2_events *events;
    xmlParserCtxtPtr parser;
    bool stopped;
    fnr_t2_faults *faults;
    fnr_error *err;
} session;

static void stop(session *s)
{
    s->stopped = true;
    xmlStopParser(s->parser);
}

static void on_start(void *ctx, const xmlChar *name, const xmlChar **atts)
{
    session *s = ctx;
    if (!s->stopped && !s->events->start(s->events->ctx, (const char *)name, (const char **)atts, s->err)) {
        stop(s);
    }
}

static void on_end(void *ctx, const xmlChar *name)
{
    session *s = ctx;
    if (!s->stopped && !s->events->end(s->events->ctx, (const char *)name, s->err)) {
        stop(s);
    }
}

/* TrakEM2 never declares entities.  Who does wants them expanded, without bound under XML_PARSE_HUGE. */
static void on_entity(void *ctx, const xmlChar *name, int type, const xmlChar *public_id, const xmlChar *system_id,
                      xmlChar *content)
{
    (void)type, (void)public_id, (void)system_id, (void)content;
    session *s = ctx;
    if (!s->stopped) {
        fnr_fail(s->err, FNR_E_FORMAT, "it declares the entity '%.60s', which no TrakEM2 project does; refused",
                 (const char *)name);
        stop(s);
    }
}

static void on_unparsed_entity(void *ctx, const xmlChar *name, const xmlChar *public_id, const xmlChar *system_id,
                               const xmlChar *notation)
{
    (void)notation;
    on_entity(ctx, name, 0, public_id, system_id, NULL);
}

static void on_fault(void *ctx, const char *format, ...)
{
    session *s = ctx;
    char *text = s->faults->last;
    const size_t size = sizeof s->faults->last;
    va_list args;
    va_start(args, format);
    const int used = snprintf(text, size, "line %d: ", s->parser->input ? s->parser->input->line : 0);
    vsnprintf(text + used, size - (size_t)used, format, args);
    va_end(args);
    text[strcspn(text, "\r\n")] = '\0';
    s->faults->count++;
}

bool fnr_t2_parse_xml(const char *text, size_t size, const fnr_t2_events *events, fnr_t2_faults *faults, fnr_error *err)
{
    *faults = (fnr_t2_faults){0};
    if (size == 0 || size > INT_MAX) {
        return fnr_fail(err, FNR_E_FORMAT, size ? "it is too long" : "it is empty");
    }
    xmlInitParser();
    xmlParserCtxtPtr parser = xmlCreateMemoryParserCtxt(text, (int)size);
    if (!parser) {
        return fnr_fail(err, FNR_E_LIMIT, "not enough memory to read XML of %zu bytes", size);
    }
    session s = {.events = events, .parser = parser, .faults = faults, .err = err};
    /* The older SAX interface: it hands over whole strings, and namespaces mean nothing here. */
    *parser->sax = (xmlSAXHandler){.initialized = 1,
                                   .startElement = on_start,
                                   .endElement = on_end,
                                   .entityDecl = on_entity,
                                   .unparsedEntityDecl = on_unparsed_entity,
                                   .error = on_fault};
    parser->userData = &s;
    /* NOENT gives "&" for "&amp;" instead of "&#38;"; there are no other entities to substitute, on_entity() sees to that. */
    xmlCtxtUseOptions(parser, XML_PARSE_RECOVER | XML_PARSE_HUGE | XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_NOWARNING);
    xmlParseDocument(parser);
    xmlFreeDoc(parser->myDoc); /* libxml2 makes one for declarations even when it only reports events */
    xmlFreeParserCtxt(parser);
    return !s.stopped;
}
