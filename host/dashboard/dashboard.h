// SPDX-License-Identifier: MIT
//
// The page at "/" for browsers: pools, backends and what has happened, live, with the controls. One document, made of
// the files here when the program is built, that asks nobody but the admin API.
#pragma once

#include "admin/message.h"

namespace lemonade::dashboard {

/// The page. Its own style and script run and nothing else: each answer has a nonce of its own for them. Any thread.
admin::Response page();

}  // namespace lemonade::dashboard
