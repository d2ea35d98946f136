# SPDX-License-Identifier: MIT
#
# Puts the page together in one source file of the layer. The scripts are one script, in this order.
set(dashboard_files page.html style.css text.js past.js attention.js pools.js timeline.js controls.js live.js)
foreach(file ${dashboard_files})
  set(path ${CMAKE_CURRENT_LIST_DIR}/${file})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} text)
  if(file MATCHES "\\.js$")
    string(APPEND dashboard_script "${text}")
  elseif(file MATCHES "\\.css$")
    set(dashboard_style "${text}")
  endif()
endforeach()
file(READ ${CMAKE_CURRENT_LIST_DIR}/page.html dashboard_page)
string(CONFIGURE "${dashboard_page}" dashboard_page @ONLY)
configure_file(${CMAKE_CURRENT_LIST_DIR}/document.cpp.in dashboard/document.cpp @ONLY)
target_sources(lemonade_dashboard PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/dashboard/document.cpp)
