# Manual pages from the comments of include/lgalloc.h: lgalloc(3), one for each of its sections, and for each function
# and type one that leads there.
#   awk -v dir=DIRECTORY -f man.awk include/lgalloc.h
# What it reads is the header's style: comments are for Doxygen, with no command but @file; the first one is the introduction; a comment "---- TITLE" begins a section;
# a comment stands before what it documents; "name: text" and "- text" begin the entries of lists; what is indented by
# four is code.

# ---------------------------------------------------------------- what is written

function escape(text) {
    gsub(/\\/, "\\e", text)
    gsub(/…/, "...", text)
    gsub(/`[^`]*`/, "\\fB&\\fR", text)
    gsub(/`/, "", text)
    # Functions that have pages.
    gsub(/lgalloc_[a-z0-9_]+\(\)/, "\\fB&\\fR", text)
    if (text ~ /^[.']/)
        text = "\\&" text
    return text
}

function escape_code(text) {
    gsub(/\\/, "\\e", text)
    gsub(/…/, "...", text)
    gsub(/-/, "\\-", text)
    if (text ~ /^[.']/)
        text = "\\&" text
    return text
}

# The lines of a comment, from 1 to count.
function prose(lines, count,    i, line, code, name) {
    code = 0
    for (i = 1; i <= count; i++) {
        line = lines[i]
        if (line ~ /^    / && (code || i == 1 || lines[i - 1] == "")) {
            if (!code)
                put(".IP\n.EX")
            code = 1
            put(escape_code(line))
            continue
        }
        if (code && line == "" && i < count && lines[i + 1] ~ /^    /) {
            put("")
            continue
        }
        if (code)
            put(".EE")
        code = 0
        if (line == "") {
            if (i < count && lines[i + 1] !~ /^(- |    |[a-z_]+: )/)
                put(".PP")
        } else if (line ~ /^- /) {
            put(".IP \\(bu 3\n" escape(substr(line, 3)))
        } else if (line ~ /^[a-z_]+: / && (i == 1 || lines[i - 1] == "" || entries)) {
            name = line
            sub(/:.*/, "", name)
            sub(/^[a-z_]+: */, "", line)
            put(".TP\n\\fB" name "\\fR\n" escape(line))
            entries = 1
            continue
        } else {
            sub(/^ +/, "", line)
            put(escape(line))
        }
        if (line == "")
            entries = 0
    }
    if (code)
        put(".EE")
    entries = 0
}

function put(text) { description = description text "\n" }

function head(page) {
    # No date: the same header gives the same pages, whenever.
    return ".\\\" Made from lgalloc.h.\n.TH " toupper(page) " 3 \"\" \"lgalloc " version "\" \"lgalloc\"\n"
}

function write_page(page, text,    file) {
    file = dir "/" page ".3"
    printf "%s", text >file
    close(file)
}

function end_section(    page, i, text) {
    end_functions()
    if (title == "" || description == "")
        return
    page = title
    gsub(/ /, "-", page)
    page = "lgalloc-" page
    pages[++page_count] = page
    titles[page] = title
    text = head(page) ".SH NAME\n" page
    for (i = 1; i <= name_count; i++) {
        text = text ", " names[i]
        write_page(names[i], ".so man3/" page ".3\n")
    }
    text = text " \\- " title " of lgalloc\n.SH SYNOPSIS\n.nf\n.B #include <lgalloc.h>\n"
    if (synopsis != "")
        text = text ".sp\n" synopsis
    bodies[page] = text ".fi\n.SH DESCRIPTION\n" description
    name_count = 0
    description = synopsis = ""
}

# ---------------------------------------------------------------- what is read

function begin_comment() {
    # The one before belongs to no declaration.
    if (introduced && comment_count > 0) {
        end_functions()
        put(".PP")
        prose(comment, comment_count)
    }
    comment_count = 0
    inside = 1
}

# Takes the comment that was read for what it is.
function end_comment(    i) {
    inside = 0
    while (comment_count > 0 && comment[comment_count] == "")
        comment_count--
    if (!introduced) {
        introduced = 1
        # Its first paragraph is the name and what it is.
        for (i = 1; i <= comment_count && comment[i] != ""; i++)
            summary = summary (i == 1 ? "" : " ") comment[i]
        while (++i <= comment_count)
            introduction[++introduction_count] = comment[i]
        comment_count = 0
    } else if (comment_count == 1 && comment[1] ~ /^-----* /) {
        end_section()
        title = comment[1]
        sub(/^-+ */, "", title)
        comment_count = 0
    }
}

function add_comment_line(line) {
    sub(/^ ?\* ?/, "", line)
    if ((line == "" && comment_count == 0) || line == "@file")
        return
    comment[++comment_count] = line
}

# A declaration of a function is done; those that follow without a comment share that of the first.
function end_function(text,    name, i, lines) {
    gsub(/LGALLOC_[A-Z0-9_]+(\([^()]*\))? */, "", text) # attributes
    sub(/^\n/, "", text)
    gsub(/ +;/, ";", text)
    for (i = split(escape_code(text), lines, "\n"); i > 0; i--)
        name = "\\fB" lines[i] "\\fR\n" name
    synopsis = synopsis name
    match(text, /lgalloc_[a-z0-9_]+\(/)
    name = substr(text, RSTART, RLENGTH - 1)
    names[++name_count] = name
    if (comment_count > 0) {
        end_functions()
        for (i = 1; i <= comment_count; i++)
            shared[i] = comment[i]
        shared_count = comment_count
        comment_count = 0
    }
    heading = heading (heading == "" ? "" : ", ") name "()"
}

function end_functions() {
    if (heading != "") {
        put(".SS " heading)
        prose(shared, shared_count)
    }
    heading = ""
    shared_count = 0
}

# A struct, an enum, or a macro, with the comments inside.
function end_type(text,    name) {
    end_functions()
    name = text
    if (match(name, /lgalloc_[a-z0-9_]+/)) {
        name = substr(name, RSTART, RLENGTH)
        names[++name_count] = name
        put(".SS " name)
    }
    prose(comment, comment_count)
    comment_count = 0
    put(".IP\n.EX")
    put(escape_code(text))
    put(".EE")
}

BEGIN { introduced = 0 }

/^#define LGALLOC_VERSION_(MAJOR|MINOR|PATCH) / { version = version (version == "" ? "" : ".") $3 }

# The inside of a struct or an enum.
block != "" {
    if ($0 ~ /^#/ || $0 ~ /^ *: int32_t$/)
        next
    block = block "\n" $0
    if ($0 ~ /^}/) {
        end_type(block)
        block = ""
    }
    next
}

inside {
    line = $0
    if (line ~ /\*\/ *$/) {
        sub(/ *\*\/ *$/, "", line)
        if (line !~ /^ *$/)
            add_comment_line(line)
        end_comment()
    } else {
        add_comment_line(line)
    }
    next
}

/^\/\*/ {
    line = $0
    sub(/^\/\*+ ?/, "", line)
    begin_comment()
    if (line ~ /\*\/ *$/) {
        sub(/ *\*\/ *$/, "", line)
        add_comment_line(line)
        end_comment()
    } else if (line != "") {
        add_comment_line(line)
    }
    next
}

# Constants are documented; other directives aren't.
/^#define LGALLOC_[A-Z0-9_]+ / && title ~ /constants/ {
    if (comment_count > 0) {
        put(".PP")
        prose(comment, comment_count)
        comment_count = 0
    }
    line = $0
    sub(/ *\\$/, "", line)
    put(".IP\n.EX\n" escape_code(line) "\n.EE")
    next
}

/^#/ {
    comment_count = 0
    next
}

/^(typedef struct|enum|struct) / && !/;/ {
    block = $0
    next
}

/^typedef .*;/ {
    if (comment_count > 0)
        end_type($0)
    next
}

declaration != "" || /^[a-z].*\(/ || /^LGALLOC_[A-Z_]+.*[a-z].*\(/ {
    declaration = declaration == "" ? $0 : declaration "\n" $0
    if ($0 ~ /; *$/) {
        end_function(declaration)
        declaration = ""
    }
    next
}

END {
    end_section()
    description = ""
    prose(introduction, introduction_count)
    sub(/^lgalloc: /, "", summary)
    sub(/\.$/, "", summary)
    text = head("lgalloc") ".SH NAME\nlgalloc \\- " summary "\n.SH SYNOPSIS\n.nf\n.B #include <lgalloc.h>\n.sp\n" \
        ".B cc program.c \\-llgalloc \\-pthread\n.fi\n.SH DESCRIPTION\n" description
    text = text ".SH SEE ALSO\n"
    for (i = 1; i <= page_count; i++)
        text = text ".BR " pages[i] " (3)" (i < page_count ? "," : "") "\n"
    write_page("lgalloc", text)
    for (i = 1; i <= page_count; i++) {
        text = bodies[pages[i]] ".SH SEE ALSO\n.BR lgalloc (3)"
        for (j = 1; j <= page_count; j++)
            if (j != i)
                text = text ",\n.BR " pages[j] " (3)"
        write_page(pages[i], text "\n")
    }
}
