#pragma once

#include <asmjit/core.h>
