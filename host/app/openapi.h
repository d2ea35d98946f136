// SPDX-License-Identifier: MIT
//
// The description of what the admin listener answers, in OpenAPI 3.1: openapi.json, which the build puts into the
// program. A test calls every route that there is and holds its answers to it. Any thread.
#pragma once

#include "admin/message.h"

namespace lemonade::app {

admin::Response openApi();

}  // namespace lemonade::app
