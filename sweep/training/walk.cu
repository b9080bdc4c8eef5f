// The reference's walk along the bins of a histogram, one thread for each event: what
// sweep/metrics/walk.py does on a CPU, bit for bit. It is compiled where it runs, by
// sweep/training/walk.py; a C compiler takes it too, which is how its test runs it without a GPU.
//
// Shapes: B event, L bin, R column of the table. The tables come filled for events without regions.
//
// x - x is not 0 where x is NaN or infinite.

extern "C" __global__ void walk(
    const float *histogram_BL, int num_events, int num_bins,
    float threshold, float least_integral, int min_width, int num_columns,
    float *position_BR, float *height_BR, float *integral_BR, int *width_BR, int *faults_B2)
{
    const int event = blockIdx.x * blockDim.x + threadIdx.x;
    if (event >= num_events) return;
    const float *row = histogram_BL + (long long)event * num_bins;
    const long long first_cell = (long long)event * num_columns;
    int num_kept = 0, num_infinite = 0, num_overflows = 0, width = 0;
    float height = 0.0f, integral = 0.0f, weighted = 0.0f;
    for (int index = 0; index < num_bins; ++index) {
        const float value = row[index];
        num_infinite += value == value && value - value != 0.0f;
        if (value >= threshold) {
            ++width;
            height = value > height ? value : height;
            integral += value;
            // index * value is exact in double, so that one rounding or two make no difference
            weighted = (float)((double)weighted + (double)index * (double)value);
        }
        if (width > 0 && (value < threshold || index == num_bins - 1)) {
            if (width >= min_width) {
                num_overflows += integral - integral != 0.0f || weighted - weighted != 0.0f;
                if (integral >= least_integral) {
                    const long long cell = first_cell + num_kept++;
                    position_BR[cell] = weighted / integral;
                    height_BR[cell] = height;
                    integral_BR[cell] = integral;
                    width_BR[cell] = width;
                }
            }
            width = 0;
            height = integral = weighted = 0.0f;
        }
    }
    faults_B2[2 * event] = num_infinite;
    faults_B2[2 * event + 1] = num_overflows;
}
