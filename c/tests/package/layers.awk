# What check-alone.sh asks of the files of c/src; see there. Input: c/lgalloc.c, then the whole library, preprocessed, with
# its macros (-E -dD), then the files of c/src. Prints one line for each check that fails, and at the end, to standard
# error, how many checks there were and how many of them failed.
#
# C wants everything declared before it is used. So a name is declared where it comes first in the whole.

function fail(text) { print "failed: " text; failed++ }
function folder(file) { sub(/^src\//, "", file); sub(/\/.*/, "", file); return file }
function base(file) { sub(/.*\//, "", file); return file }

# The file's text without comments, and with what is between quotes only in include lines.
function bare(line,    out, at) {
  out = ""
  while (line != "") {
    if (in_comment) {
      at = index(line, "*/")
      if (at == 0) return out
      line = substr(line, at + 2)
      in_comment = 0
      continue
    }
    if (match(line, /\/\*|"([^"\\]|\\.)*"/) == 0) return out line
    out = out substr(line, 1, RSTART - 1)
    if (substr(line, RSTART, 2) == "/*") in_comment = 1
    else out = out "\"\""
    line = substr(line, RSTART + RLENGTH)
  }
  return out
}

function declare(word, file) { if (!(word in declared_in)) declared_in[word] = file }
# The names in a text.
function names(text, file,    word) {
  while (match(text, /[A-Za-z_0-9]+/)) {
    word = substr(text, RSTART, RLENGTH)
    text = substr(text, RSTART + RLENGTH)
    if (phase == "whole") {
      if (word ~ /^(lg|LG)_/) declare(word, file)
    } else if (word in declared_in && !((file, word) in uses)) {
      uses[file, word] = 1
      used[++uses_count] = file SUBSEP word
    }
  }
}

FNR == 1 {
  phase = FILENAME ~ /lgalloc\.c$/ ? "order" : FILENAME ~ /(^|\/)src\/[a-z]+\/[a-z_0-9]+\.[ch]$/ ? "sources" : "whole"
  file = FILENAME
  sub(/.*\/src\//, "src/", file)
  in_comment = 0
  if (phase == "sources") { files[++files_count] = file; exists[file] = 1 }
}

phase == "order" && /^\/\* door: / {
  for (i = 3; i < NF; i++) door["src/" current "/" $i] = 1
  next
}
phase == "order" && /^\/\* [a-z]+: / { current = $2; sub(/:$/, "", current) }
phase == "order" && /^#include "src\// {
  split($0, part, "\"")
  place[part[2]] = ++places
  if (folder(part[2]) != current) fail("c/lgalloc.c has " part[2] " below the heading of " current)
  next
}

phase == "sources" && /^ *# *include "/ {
  split($0, part, "\"")
  target = part[2]
  if (target ~ /^\.\.\//) target = "src/" substr(target, 4)
  else if (target !~ /\//) target = "src/" folder(file) "/" target
  includes[file, target] = 1
  included[++includes_count] = file SUBSEP target
  next
}
phase == "sources" { names(bare($0), file); next }

phase == "whole" && /^# [0-9]+ "/ {
  split($0, part, "\"")
  file = part[2]
  while (sub(/[a-z]+\/\.\.\//, "", file)) continue
  ours = sub(/^(.*\/)?src\//, "src/", file)
  next
}
phase == "whole" && !ours { next }
phase == "whole" && /^#define / { sub(/\(.*/, "", $2); if (file ~ /h$/) declare($2, file); next }
phase == "whole" && /^#/ { next }
phase == "whole" {
  if (file ~ /c$/ && /^[a-z][a-z0-9_ *]*[ *]lg_[a-z0-9_]+\(/ && !/;$/) {
    match($0, /lg_[a-z0-9_]+\(/)
    defined_in[substr($0, RSTART, RLENGTH - 1)] = file
  }
  names($0, file)
}

# The header of a .c file's room: x.h for x.c and for x_more.c.
function own_header(file,    name) {
  name = file
  sub(/\.[ch]$/, "", name)
  for (;;) {
    if ((name ".h") in exists) return name ".h"
    if (!sub(/_[a-z0-9]+$/, "", name)) return ""
  }
}

END {
  for (i = 1; i <= files_count; i++) {
    file = files[i]
    checks++
    # A header stands where its room does, unless it has a line of its own.
    if (!(file in place)) {
      source = file
      sub(/\.h$/, ".c", source)
      if (!(source in place)) { fail("c/lgalloc.c lacks " file); continue }
      place[file] = place[source]
    }
  }
  for (i = 1; i <= includes_count; i++) {
    split(included[i], part, SUBSEP)
    if (!(part[2] in exists)) continue # from fuzz/
    checks++
    if (place[part[2]] > place[part[1]]) fail(part[1] " includes " part[2] ", which is below it in c/lgalloc.c")
    if (folder(part[1]) != folder(part[2])) {
      if (!(part[2] in door)) fail(part[1] " includes " part[2] ", which isn't in the door of " folder(part[2]))
      goes_through[part[2]] = 1
    }
  }
  for (file in door) {
    checks++
    if (!(file in goes_through)) fail("nobody includes " file ", which is in the door of " folder(file))
  }
  for (i = 1; i <= uses_count; i++) {
    split(used[i], part, SUBSEP)
    file = part[1]; from = declared_in[part[2]]
    if (from == "" || from == file || from !~ /\.h$/ || from == "src/base/base.h") continue
    checks++
    has[file, from] = 1
    own = own_header(file)
    if (!((file, from) in includes) && from != own && !((own, from) in includes))
      fail(file " has " part[2] " of " from ", which it doesn't include" )
  }
  for (name in defined_in) {
    checks++
    if (folder(declared_in[name]) != folder(defined_in[name]))
      fail(name " is declared in " declared_in[name] " and defined in " defined_in[name])
  }
  for (i = 1; i <= includes_count; i++) {
    split(included[i], part, SUBSEP)
    if (!(part[2] in exists) || part[2] == "src/base/base.h" || part[2] == own_header(part[1])) continue
    checks++
    if (!((part[1], part[2]) in has)) fail(part[1] " includes " part[2] ", of which it has nothing")
  }
  print checks + 0, failed + 0 >"/dev/stderr"
}
