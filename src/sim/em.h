/* Drawing the section as an electron microscope shows it: heavy metals dark, resin bright. */
#ifndef FNR_SIM_EM_H
#define FNR_SIM_EM_H

#include "src/image/view.h"
#include "src/sim/scene.h"

/* A rectangle of the section: pixel (i, j) has its centre at (x0 + i * nm, y0 + j * nm). */
typedef struct {
    double x0, y0, nm;
} fnr_sim_window;

/* Fills a dense 2D float view with grey levels (about 0 .. 255) before blur, noise and detector. */
void fnr_sim_draw_em(const fnr_sim_scene *s, const fnr_sim_window *window, fnr_view *out);

/* Fills a dense 2D float view with the share of each pixel that is myelin, stained or not. */
void fnr_sim_draw_myelin(const fnr_sim_scene *s, const fnr_sim_window *window, fnr_view *out);

/* Share of a pixel of size nm that lies in the sheath of a fibre. */
float fnr_sim_myelin_share(const fnr_sim_cell *fibre, const fnr_sim_near *near, float nm);

#endif
