/* The main job: a folder of EM tiles of one section + its MBP montage + a model -> a transform and a verdict per tile.
 *
 * Per tile: load -> predict -> register; then, once: transforms.csv, trakem2.xml, run.json, report.html.  A tile that fails gets
 * a verdict with its reason; it never ends the run. */
#ifndef FNR_PIPELINE_SECTION_H
#define FNR_PIPELINE_SECTION_H

#include "register/register.h"
#include "src/core/hash.h"
#include "src/pipeline/model_set.h"
#include "src/pipeline/run.h"
#include "src/pipeline/tile.h"

typedef struct {
    const char *em_dir, *mbp_path;
    const char *const *models; /* averaged when there are several */
    size_t n_models;
    const char *out_dir;
    const char *review_path; /* decisions of a person, NULL = none */
} fnr_section_job;

typedef enum { FNR_UNREVIEWED, FNR_ACCEPTED, FNR_REJECTED } fnr_review_decision;
const char *fnr_review_name(fnr_review_decision d); /* "", "accepted", "rejected" */

/* What a person decided about a tile in report.html. */
typedef struct {
    fnr_review_decision decision;
    char note[128], time[32];
    bool has_place;
    fnr_transform place; /* TILE -> IF, the one that was looked at */
} fnr_review;

typedef struct {
    const char *name;         /* file name in em_dir, borrowed from the listing */
    char path[FNR_PATH_MAX];
    int w, h;                 /* [EM px]; 0 when unreadable */
    fnr_dtype dtype;
    double em_nm;
    double grey_lo, grey_hi;  /* display range of the file's grey values */
    fnr_digest digest;        /* of the file */
    fnr_registration reg;     /* NET -> IF */
    fnr_transform tile_to_if; /* TILE -> IF when reg.has_transform */
    fnr_review review;
    double predict_s, register_s;
    bool reused;              /* taken from an earlier run's files */
} fnr_section_tile;

typedef struct {
    fnr_run *run; /* borrowed */
    fnr_section_job job;
    fnr_listing listing;
    fnr_section_tile *tiles;
    size_t n_tiles;
    fnr_model_set models;
    fnr_digest mbp_digest;
    fnr_image montage; /* as in the file */
    double if_nm;
    double net_nm;
    fnr_target *target;
    fnr_predictor *predictor;
    fnr_error first_write_error; /* outputs that could not be written; the run goes on, its status says failed */
    bool stopped;                /* by the user: not every tile has been looked at, or the tiles have not helped each other */
    char started[32];
    double seconds;
} fnr_section;

typedef struct {
    size_t count[FNR_VERDICTS]; /* tiles by verdict */
    bool outputs_missing;
    char first_failure[1024]; /* reason of the first tile that failed; "" when none did */
} fnr_section_summary;

/* Everything.  False when nothing could be done at all (unreadable model or montage, no tiles), or with FNR_E_CANCELLED when the
 * user stopped it: then the outputs hold the tiles finished so far, and the others as unfinished. */
bool fnr_stage_section(fnr_run *run, const fnr_section_job *job, fnr_section_summary *summary, fnr_error *err);

/* Parts, in section_*.c */
bool fnr_section_process_tile(fnr_section *s, fnr_section_tile *tile);                      /* false: cancelled */
/* A verdict without a place and without numbers. */
void fnr_section_no_result(fnr_section_tile *tile, fnr_verdict verdict, const char *reason);
/* Can the tile be found in the montage, by the sizes of both?  The error names the pixel sizes and where they come from. */
bool fnr_section_tile_fits(const fnr_section *s, const fnr_section_tile *tile, fnr_error *err);
bool fnr_section_consensus(fnr_section *s, fnr_error *err);                                 /* tiles help each other; false: cancelled */
/* --review: before anything is computed (unknown tiles are an error), before and after the consensus. */
bool fnr_section_read_review(fnr_section *s, fnr_error *err);
void fnr_section_prepare_review(fnr_section *s);
void fnr_section_finish_review(fnr_section *s);
void fnr_section_ask_why(fnr_section *s);                                                   /* what might be wrong with the input */
void fnr_section_append_reason(fnr_section_tile *t, const char *text);                      /* "what was there; text", cut to fit */
void fnr_section_say_turned(fnr_section *s);                                                /* files turned against the others */
void fnr_section_export(fnr_section *s, const fnr_section_summary *summary);                /* csv, trakem2, run.json */
void fnr_section_report(fnr_section *s);                                                       /* report.html */
/* Is the tile done already?  (--dry-run)  Returns what would run: "predict, register", "register" or "nothing". */
const char *fnr_section_plan_tile(const fnr_section *s, fnr_section_tile *tile);
/* Prediction of a finished tile, from its file; *view is float at network pixel size. */
bool fnr_section_read_prediction(const fnr_section *s, const fnr_section_tile *tile, fnr_image *out, fnr_error *err);
/* Remembers the first output that could not be written, and warns. */
void fnr_section_note_write_error(fnr_section *s, const fnr_error *err);

#endif
