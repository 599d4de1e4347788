/* Names inside a model file, shared by its reader and its writer. */
#ifndef FNR_NET_MODEL_KEYS_H
#define FNR_NET_MODEL_KEYS_H

#define KEY_SPATIAL       "fnet.spatial"
#define KEY_IN_CHANNELS   "fnet.in_channels"
#define KEY_OUT_CHANNELS  "fnet.out_channels"
#define KEY_BASE_CHANNELS "fnet.base_channels"
#define KEY_DEPTH         "fnet.depth"
#define KEY_PIXEL_NM      "fnet.pixel_nm"
#define KEY_NORMALISATION "fnet.normalisation"
#define KEY_RECORD        "fnet.record"
#define KEY_HISTORY       "fnet.history"
#define KEY_STEP          "fnet.step"
#define KEY_LOSS_SUM      "fnet.loss_sum"
#define KEY_LOSS_COUNT    "fnet.loss_count"

/* torch.optim.Adam's names for the first and the second moment. */
#define PREFIX_MOMENT1 "adam.exp_avg."
#define PREFIX_MOMENT2 "adam.exp_avg_sq."

#endif
