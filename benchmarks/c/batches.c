/* Batches in C, written by hand: a step of the moons network, bundle adjustment, a mixture. */

#include <math.h>
#include <string.h>

typedef double lanes __attribute__((vector_size(64)));
typedef long long mask __attribute__((vector_size(64)));
enum { LANES = 8, SAMPLES = 100, VECTORS = (SAMPLES + LANES - 1) / LANES, HIDDEN = 16 };

static lanes relu(lanes x)
{
    return (lanes)((x > 0.0) & (mask)x);
}

static double total(const lanes *x, const lanes *y)
{
    lanes sum = {0.0};
    for (int v = 0; v < VECTORS; v++) {
        sum += x[v] * y[v];
    }
    double result = 0.0;
    for (int i = 0; i < LANES; i++) {
        result += sum[i];
    }
    return result;
}

/* z = bias + weights · x for each neuron, and relu of it. */
static void layer(const double *w, int inputs, const lanes (*x)[VECTORS], lanes (*z)[VECTORS])
{
    for (int j = 0; j < HIDDEN; j++, w += inputs + 1) {
        for (int v = 0; v < VECTORS; v++) {
            lanes sum = w[inputs] - (lanes){0.0};
            for (int i = 0; i < inputs; i++) {
                sum += w[i] * x[i][v];
            }
            z[j][v] = relu(sum);
        }
    }
}

/* The mean hinge loss of a 2-16-16-1 network over 100 samples, and its gradient by the 337
   parameters: neuron by neuron its weights, then its bias. */
double moons(const double *w, const double *points, const double *labels, double *gradient)
{
    static lanes x[2][VECTORS], y[VECTORS], count[VECTORS], a[HIDDEN][VECTORS], b[HIDDEN][VECTORS];
    static lanes ga[HIDDEN][VECTORS], gb[HIDDEN][VECTORS], g[VECTORS], loss[VECTORS];
    const double *w2 = w + HIDDEN * 3, *w3 = w2 + HIDDEN * (HIDDEN + 1);
    for (int i = 0; i < SAMPLES; i++) {
        ((double *)x[0])[i] = points[2 * i];
        ((double *)x[1])[i] = points[2 * i + 1];
        ((double *)y)[i] = labels[i];
        ((double *)count)[i] = 1.0;
    }
    layer(w, 2, (const lanes(*)[VECTORS])x, a);
    layer(w2, HIDDEN, (const lanes(*)[VECTORS])a, b);
    for (int v = 0; v < VECTORS; v++) {
        lanes sum = w3[HIDDEN] - (lanes){0.0};
        for (int i = 0; i < HIDDEN; i++) {
            sum += w3[i] * b[i][v];
        }
        loss[v] = relu(1.0 - y[v] * sum) * count[v];
        g[v] = (lanes)((loss[v] > 0.0) & (mask)(-y[v] / SAMPLES));
    }
    for (int j = 0; j < HIDDEN; j++) {
        for (int v = 0; v < VECTORS; v++) {
            gb[j][v] = (lanes)((b[j][v] > 0.0) & (mask)(w3[j] * g[v]));
        }
    }
    for (int i = 0; i < HIDDEN; i++) {
        for (int v = 0; v < VECTORS; v++) {
            lanes sum = {0.0};
            for (int j = 0; j < HIDDEN; j++) {
                sum += w2[j * (HIDDEN + 1) + i] * gb[j][v];
            }
            ga[i][v] = (lanes)((a[i][v] > 0.0) & (mask)sum);
        }
    }
    for (int j = 0; j < HIDDEN; j++, gradient += 3) {
        gradient[0] = total(ga[j], x[0]);
        gradient[1] = total(ga[j], x[1]);
        gradient[2] = total(ga[j], count);
    }
    for (int j = 0; j < HIDDEN; j++, gradient += HIDDEN + 1) {
        for (int i = 0; i < HIDDEN; i++) {
            gradient[i] = total(gb[j], a[i]);
        }
        gradient[HIDDEN] = total(gb[j], count);
    }
    for (int i = 0; i < HIDDEN; i++) {
        gradient[i] = total(g, b[i]);
    }
    gradient[HIDDEN] = total(g, count);
    return total(loss, count) / SAMPLES;
}

static void cross(const double *a, const double *b, double *c)
{
    c[0] = a[1] * b[2] - a[2] * b[1];
    c[1] = a[2] * b[0] - a[0] * b[2];
    c[2] = a[0] * b[1] - a[1] * b[0];
}

/* The 2x15 Jacobian of one residual, by rotation 3, centre 3, focal length, principal point 2,
   distortion 2, point 3 and weight. */
static void residual(const double *p, const double *seen, double *jacobian)
{
    const double *r = p, *k = p + 9, focal = p[6], weight = p[14];
    double v[3], rv[3], camera[3], turned[3][3], by_r[3][3];
    for (int i = 0; i < 3; i++) {
        v[i] = p[11 + i] - p[3 + i];
    }
    const double t2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2], t = sqrt(t2), s = sin(t), c = cos(t);
    const double along = r[0] * v[0] + r[1] * v[1] + r[2] * v[2], q = s / t, h = (1.0 - c) / t2;
    const double dq = (c * t - s) / t2 / t, dh = (s * t - 2.0 * (1.0 - c)) / (t2 * t2);
    cross(r, v, rv);
    for (int j = 0; j < 3; j++) {
        const double unit[3] = {j == 0, j == 1, j == 2};
        double ev[3], re[3];
        cross(unit, v, ev);
        cross(r, unit, re);
        camera[j] = c * v[j] + q * rv[j] + h * r[j] * along;
        for (int i = 0; i < 3; i++) {
            turned[i][j] = c * unit[i] + q * re[i] + h * r[i] * r[j];
            by_r[i][j] = -q * r[j] * v[i] + dq * r[j] * rv[i] + q * ev[i] + dh * r[j] * r[i] * along +
                         h * (unit[i] * along + r[i] * v[j]);
        }
    }
    const double z = 1.0 / camera[2], at[2] = {camera[0] * z, camera[1] * z};
    const double square = at[0] * at[0] + at[1] * at[1];
    const double factor = 1.0 + k[0] * square + k[1] * square * square;
    const double slope = 2.0 * (k[0] + 2.0 * k[1] * square);
    for (int i = 0; i < 2; i++, jacobian += 15) {
        double by_at[2], by_camera[3];
        for (int j = 0; j < 2; j++) {
            by_at[j] = weight * focal * ((i == j) * factor + slope * at[i] * at[j]);
        }
        by_camera[0] = by_at[0] * z;
        by_camera[1] = by_at[1] * z;
        by_camera[2] = -(by_at[0] * at[0] + by_at[1] * at[1]) * z;
        for (int j = 0; j < 3; j++) {
            double turn = 0.0, move = 0.0;
            for (int m = 0; m < 3; m++) {
                turn += by_camera[m] * by_r[m][j];
                move += by_camera[m] * turned[m][j];
            }
            jacobian[j] = turn;
            jacobian[3 + j] = -move;
            jacobian[11 + j] = move;
        }
        jacobian[6] = weight * at[i] * factor;
        jacobian[7] = weight * (i == 0);
        jacobian[8] = weight * (i == 1);
        jacobian[9] = weight * focal * at[i] * square;
        jacobian[10] = weight * focal * at[i] * square * square;
        jacobian[14] = at[i] * factor * focal + p[7 + i] - seen[i];
    }
}

void bundle(const double *parameters, const double *seen, double *jacobians, int count)
{
    for (int n = 0; n < count; n++) {
        residual(parameters + 15 * n, seen + 2 * n, jacobians + 30 * n);
    }
}

enum { K = 5, D = 2, PARAMETERS = K * 6 };

/* The log-likelihood of a mixture of 5 normal distributions in the plane and its gradient, by 5
   weights, 5 means, and 5 times the logarithm of the diagonal and the lower part of the inverse
   covariance's root. */
double mixture(const double *p, const double *points, double *gradient, int count)
{
    double value = 0.0, norm = 0.0, weights[K];
    double *by_mean = gradient + K, *by_root = by_mean + K * D;
    memset(gradient, 0, PARAMETERS * sizeof(double));
    for (int n = 0; n < count; n++, points += D) {
        double term[K], y[K][D], x[K][D], best = -INFINITY, sum = 0.0;
        for (int k = 0; k < K; k++) {
            const double *mean = p + K + D * k, *root = p + K + K * D + 3 * k;
            x[k][0] = points[0] - mean[0];
            x[k][1] = points[1] - mean[1];
            y[k][0] = exp(root[0]) * x[k][0];
            y[k][1] = root[2] * x[k][0] + exp(root[1]) * x[k][1];
            term[k] = p[k] + root[0] + root[1] - 0.5 * (y[k][0] * y[k][0] + y[k][1] * y[k][1]);
            best = term[k] > best ? term[k] : best;
        }
        for (int k = 0; k < K; k++) {
            sum += weights[k] = exp(term[k] - best);
        }
        value += best + log(sum);
        for (int k = 0; k < K; k++) {
            const double *root = p + K + K * D + 3 * k, share = weights[k] / sum;
            const double d0 = exp(root[0]), d1 = exp(root[1]);
            gradient[k] += share;
            by_mean[D * k] += share * (y[k][0] * d0 + y[k][1] * root[2]);
            by_mean[D * k + 1] += share * y[k][1] * d1;
            by_root[3 * k] += share * (1.0 - y[k][0] * d0 * x[k][0]);
            by_root[3 * k + 1] += share * (1.0 - y[k][1] * d1 * x[k][1]);
            by_root[3 * k + 2] -= share * y[k][1] * x[k][0];
        }
    }
    for (int k = 0; k < K; k++) {
        norm += weights[k] = exp(p[k]);
    }
    for (int k = 0; k < K; k++) {
        gradient[k] -= count * weights[k] / norm;
    }
    return value - count * log(norm);
}
