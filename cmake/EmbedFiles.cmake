# hachi_embed(TARGET MANIFEST NAME): the files of a manifest become part of a library, as NAME.cc.
# The bytes come in through the assembler, which takes a megabyte in no time.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

function(hachi_embed target manifest name)
  set(script ${CMAKE_SOURCE_DIR}/cmake/embed_files.py)
  execute_process(COMMAND ${Python3_EXECUTABLE} ${script} list ${manifest}
    OUTPUT_VARIABLE files ERROR_VARIABLE problem RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${problem}")
  endif()
  string(STRIP "${files}" files)
  string(REPLACE "\n" ";" files "${files}")
  cmake_path(GET manifest PARENT_PATH folder)
  # A file that is added to the folder must make CMake look again.
  file(GLOB beside CONFIGURE_DEPENDS ${folder}/*)
  set(blob ${CMAKE_CURRENT_BINARY_DIR}/${name}.bin)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}.cc)
  add_custom_command(OUTPUT ${source} ${blob}
    COMMAND ${Python3_EXECUTABLE} ${script} write ${manifest} ${blob} ${source}
    DEPENDS ${script} ${manifest} ${files} VERBATIM)
  target_sources(${target} PRIVATE ${source})
  # The compiler does not tell that it read the bytes.
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${blob})
endfunction()
