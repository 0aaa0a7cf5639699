// All ops that a decoder needs, in the order in which a forward pass calls them.
#pragma once

#include "kernels/add.h"
#include "kernels/attention.h"
#include "kernels/context.h"
#include "kernels/dequantize.h"
#include "kernels/embed.h"
#include "kernels/fused.h"
#include "kernels/geglu.h"
#include "kernels/kv_store.h"
#include "kernels/matmul.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/step.h"
#include "kernels/swiglu.h"
