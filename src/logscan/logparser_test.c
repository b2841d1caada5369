/*
 * logscan/logparser_test.c - statements of the dialect and what SQLite is given for them.
 */
#include "logscan/logparser.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static bool has_column(void *ctx, struct slice name)
{
    static const char *const columns[] = {"date-time",  "connector-id",    "session-id", "data",
                                          "context",    "remote-endpoint", "event",      "date",
                                          "local-part", "sequence-number"};

    (void)ctx;
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        if (slice_eq_case(name, slice_str(columns[i])))
            return true;
    return false;
}
static const struct logparser_table table = {.has_column = has_column};

struct outcome {
    struct buf sql, why;
    struct logparser *l;
    int error;
};

static void translate(struct outcome *o, struct slice text)
{
    *o = (struct outcome){.sql = BUF_INIT(LOGPARSER_SQL_MAX), .why = BUF_INIT(KIB(8))};
    o->error = logparser_read(&o->l, text, &o->why);
    if (o->error == 0)
        o->error = logparser_translate(o->l, &table, &o->sql, &o->why);
}

static void outcome_done(struct outcome *o)
{
    logparser_free(&o->l);
    buf_done(&o->sql);
    buf_done(&o->why);
}

static const struct {
    const char *text, *sql, *files; /* joined by '|'; NULL: SQLite's own */
} statements[] = {
    /* the two of the well-known article */
    {"SELECT data as [Status Code],Count(*) as Hits FROM *.log WHERE data LIKE '4%' GROUP BY data "
     "ORDER BY Hits DESC",
     "SELECT \"data\" AS \"Status Code\", Count(*) AS \"Hits\" FROM logs WHERE \"data\" LIKE '4%' "
     "GROUP BY \"data\" ORDER BY (Count(*)) DESC",
     "*.log"},
    {"SELECT TO_LOCALTIME(TO_TIMESTAMP(EXTRACT_PREFIX(TO_STRING([#Fields: date-time]),0,'T'), "
     "'yyyy-MM-dd')) AS Date, COUNT(*) AS Hits from *.log where (data LIKE '4%') GROUP BY Date "
     "ORDER "
     "BY Date ASC",
     "SELECT TO_LOCALTIME(TO_TIMESTAMP(EXTRACT_PREFIX(TO_STRING(\"date-time\"), 0, 'T'), "
     "'yyyy-MM-dd')) AS \"Date\", COUNT(*) AS \"Hits\" FROM logs WHERE (\"data\" LIKE '4%') GROUP "
     "BY "
     "(TO_LOCALTIME(TO_TIMESTAMP(EXTRACT_PREFIX(TO_STRING(\"date-time\"), 0, 'T'), 'yyyy-MM-dd'))) "
     "ORDER BY (TO_LOCALTIME(TO_TIMESTAMP(EXTRACT_PREFIX(TO_STRING(\"date-time\"), 0, 'T'), "
     "'yyyy-MM-dd'))) ASC",
     "*.log"},
    /* a whole command line, names with hyphens */
    {"logparser \"SELECT EXTRACT_PREFIX(remote-endpoint,0,':') AS Ip, Count(*) AS Hits FROM "
     "RECV*.LOG WHERE data LIKE '%MAIL FROM%' GROUP BY Ip ORDER BY Hits DESC\" -i:CSV "
     "-nSkipLines:4 -rtp:-1",
     "SELECT EXTRACT_PREFIX(\"remote-endpoint\", 0, ':') AS \"Ip\", Count(*) AS \"Hits\" FROM logs "
     "WHERE \"data\" LIKE '%MAIL FROM%' GROUP BY (EXTRACT_PREFIX(\"remote-endpoint\", 0, ':')) "
     "ORDER "
     "BY (Count(*)) DESC",
     "RECV*.LOG"},
    {"LogParser.exe -i:CSV -o:NAT SELECT data FROM a.log -nSkipLines:4",
     "SELECT \"data\" AS \"data\" FROM logs", "a.log"},
    {"SELECT data FROM a.log WHERE context LIKE '% -i:CSV'",
     "SELECT \"data\" AS \"data\" FROM logs WHERE \"context\" LIKE '% -i:CSV'", "a.log"},
    /* files */
    {"SELECT * FROM 'C:\\my logs\\a.log', \"b c.log\"; d[0-9].log WHERE event = '<'",
     "SELECT * FROM logs WHERE \"event\" = '<'", "C:\\my logs\\a.log|b c.log|d[0-9].log"},
    {"SELECT * FROM logs/*.log /* all */ WHERE event='<' -- said by them",
     "SELECT * FROM logs WHERE \"event\" = '<'", "logs/*.log"},
    {"select * from *.log;", "SELECT * FROM logs", "*.log"},
    {"SELECT * FROM 'logs'", "SELECT * FROM logs", "logs"},
    /* TOP, DISTINCT, ALL */
    {"SELECT TOP 3 DISTINCT event FROM a",
     "SELECT DISTINCT \"event\" AS \"event\" FROM logs LIMIT 3", "a"},
    {"SELECT DISTINCT TOP 3 event, COUNT(ALL *) FROM a GROUP BY event",
     "SELECT DISTINCT \"event\" AS \"event\", COUNT(*) AS \"COUNT(ALL *)\" FROM logs GROUP BY "
     "\"event\" LIMIT 3",
     "a"},
    {"SELECT TOP 3 STRLEN(data) AS n FROM a ORDER BY n",
     "SELECT STRLEN(\"data\") AS \"n\" FROM logs ORDER BY (STRLEN(\"data\")) LIMIT 3", "a"},
    /* lists by ';', strings, functions that mean something else */
    {"SELECT SUBSTR(data, 0, 3) FROM a WHERE event IN ('<'; '>') AND data <> 'it''s'",
     "SELECT LP_SUBSTR(\"data\", 0, 3) AS \"SUBSTR(data, 0, 3)\" FROM logs WHERE \"event\" IN "
     "('<', "
     "'>') AND \"data\" <> 'it''s'",
     "a"},
    {"SELECT EXTRACT_TOKEN(connector-id, -1, '\\\\') AS c FROM a",
     "SELECT EXTRACT_TOKEN(\"connector-id\", -1, '\\') AS \"c\" FROM logs", "a"},
    {"SELECT data FROM a WHERE data = '\\u0027\\u00e9\\d'",
     "SELECT \"data\" AS \"data\" FROM logs WHERE \"data\" = '''\xc3\xa9\\d'", "a"},
    {"SELECT data FROM a WHERE data = \"it's\" AND \"event\" = '<'",
     "SELECT \"data\" AS \"data\" FROM logs WHERE \"data\" = 'it''s' AND \"event\" = '<'", "a"},
    /* aliases: in other items, over a column's name, USING, in their own definition */
    {"SELECT TO_UPPERCASE(data) AS data, STRLEN(data) FROM a",
     "SELECT TO_UPPERCASE(\"data\") AS \"data\", STRLEN((TO_UPPERCASE(\"data\"))) AS "
     "\"STRLEN(data)\" FROM logs",
     "a"},
    {"SELECT x USING STRLEN(data) AS x FROM a WHERE x > 3",
     "SELECT (STRLEN(\"data\")) AS \"x\" FROM logs WHERE (STRLEN(\"data\")) > 3", "a"},
    {"SELECT a, b USING STRCAT(b, 'x') AS a, STRCAT(a, 'y') AS b FROM f",
     "SELECT (STRCAT((STRCAT(\"a\", 'y')), 'x')) AS \"a\", (STRCAT((STRCAT(\"b\", 'x')), 'y')) AS "
     "\"b\" FROM logs",
     "f"},
    /* one direction is for all terms */
    {"SELECT event, data FROM a ORDER BY event, data DESC",
     "SELECT \"event\" AS \"event\", \"data\" AS \"data\" FROM logs ORDER BY \"event\" DESC, "
     "\"data\" DESC",
     "a"},
    {"SELECT event, data FROM a ORDER BY event ASC, data DESC",
     "SELECT \"event\" AS \"event\", \"data\" AS \"data\" FROM logs ORDER BY \"event\" ASC, "
     "\"data\" "
     "DESC",
     "a"},
    /* shares */
    {"SELECT event, MUL(PROPCOUNT(*), 100.0) AS P FROM a GROUP BY event",
     "SELECT \"event\" AS \"event\", MUL((CAST(COUNT(*) AS REAL) / SUM(COUNT(*)) OVER ()), 100.0) "
     "AS "
     "\"P\" FROM logs GROUP BY \"event\"",
     "a"},
    {"SELECT event, data, PROPCOUNT(*) ON (event) FROM a GROUP BY event, data",
     "SELECT \"event\" AS \"event\", \"data\" AS \"data\", (CAST(COUNT(*) AS REAL) / SUM(COUNT(*)) "
     "OVER (PARTITION BY \"event\")) AS \"PROPCOUNT(*) ON (event)\" FROM logs GROUP BY \"event\", "
     "\"data\"",
     "a"},
    {"SELECT event, PROPCOUNT(*) AS p FROM a WHERE data LIKE '4%' GROUP BY event HAVING COUNT(*) > "
     "1",
     "SELECT \"event\" AS \"event\", (CAST(COUNT(*) AS REAL) / (SELECT COUNT(*) FROM logs WHERE "
     "\"data\" LIKE '4%')) AS \"p\" FROM logs WHERE \"data\" LIKE '4%' GROUP BY \"event\" HAVING "
     "COUNT(*) > 1",
     "a"},
    {"SELECT CASE event WHEN '<' THEN 'they' ELSE 'we' END AS who INTO STDOUT FROM a",
     "SELECT CASE \"event\" WHEN '<' THEN 'they' ELSE 'we' END AS \"who\" FROM logs", "a"},
    {"SELECT Filename, RowNumber, TRIM(data) FROM a WHERE t > TIMESTAMP('2026-03-01', "
     "'yyyy-MM-dd')",
     "SELECT \"file\" AS \"Filename\", \"line\" AS \"RowNumber\", LP_TRIM(\"data\") AS "
     "\"TRIM(data)\" "
     "FROM logs WHERE \"t\" > TO_TIMESTAMP('2026-03-01', 'yyyy-MM-dd')",
     "a"},
    /* SQLite's own */
    {"SELECT remote-endpoint, a-b, substr(data, 1, 3) FROM logs WHERE [date-time] > '2' -- x",
     "SELECT \"remote-endpoint\", a-b, substr(data, 1, 3) FROM logs WHERE \"date-time\" > '2' ",
     NULL},
    {"WITH x AS (SELECT code FROM logs) SELECT count(*) FROM x",
     "WITH x AS (SELECT code FROM logs) SELECT count(*) FROM x", NULL},
    {"SELECT 'remote-endpoint', \"a\"\"b\" FROM logs",
     "SELECT 'remote-endpoint', \"a\"\"b\" FROM logs", NULL},
    {"\"SELECT code FROM logs\" -rtp:-1", "SELECT code FROM logs", NULL},
};

static void test_statements(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
        struct outcome o;
        struct buf files = BUF_INIT(KIB(4));

        translate(&o, slice_str(statements[i].text));
        assert_string_equal(buf_cstr(&o.why), "");
        assert_int_equal(o.error, 0);
        assert_string_equal(buf_cstr(&o.sql), statements[i].sql);
        assert_int_equal(logparser_is_dialect(o.l), statements[i].files != NULL);
        for (size_t f = 0; f < logparser_file_count(o.l); f++)
            (void)buf_addf(&files, "%s%s", f ? "|" : "", logparser_file(o.l, f));
        assert_string_equal(buf_cstr(&files), statements[i].files ? statements[i].files : "");
        buf_done(&files);
        outcome_done(&o);
    }
}

static const struct {
    const char *text, *why; /* a part of it */
} refused[] = {
    {"", "empty"},
    {"logparser -i:CSV", "empty"},
    {"SELECT data INTO report.csv FROM *.log", "--csv (or --json) > report.csv"},
    {"SELECT data FROM a b", "'b' is no clause"},
    {"SELECT data FROM a WHERE data = 'x", "a ' is open"},
    {"SELECT [data FROM a", "a [ is open"},
    {"SELECT f(data FROM a", "'(' is open"},
    {"SELECT data) FROM a", "')' without"},
    {"SELECT FROM a", "SELECT: what?"},
    {"SELECT data FROM a WHERE", "WHERE: what?"},
    {"SELECT data FROM a GROUP data", "GROUP without BY"},
    {"SELECT data FROM a WHERE b=1 WHERE c=2", "two clauses WHERE"},
    {"SELECT TOP x data FROM a", "TOP: how many?"},
    {"SELECT TOP 5 FROM a", "SELECT what?"},
    {"SELECT data,,event FROM a", "between two commas"},
    {"SELECT data FROM a ORDER BY , data DESC", "between two commas"},
    {"SELECT data FROM", "names no file"},
    {"SELECT data FROM a,", "names no file"},
    {"SELECT data FROM 'a", "quote that does not end"},
    {"SELECT event FROM a GROUP BY event WITH ROLLUP", "WITH ROLLUP"},
    {"SELECT a--b(data) FROM a", "'a--b' is no name"},
    {"SELECT PROPCOUNT(DISTINCT data) FROM a", "DISTINCT is not taken"},
    {"SELECT PROPCOUNT(a, b) FROM a", "one argument"},
    {"SELECT data USING STRLEN(data) FROM a", "USING: each expression has an alias"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct outcome o;

        translate(&o, slice_str(refused[i].text));
        assert_int_equal(o.error, -EINVAL);
        if (!strstr(buf_cstr(&o.why), refused[i].why))
            fail_msg("%s: %s", refused[i].text, buf_cstr(&o.why));
        outcome_done(&o);
    }
}

/* Each alias has the one before it twice: 2 to the power of 40 without a bound. */
static void test_aliases_are_bounded(void **state)
{
    struct buf text = BUF_INIT(KIB(64));
    struct outcome o;

    (void)state;
    (void)buf_add_str(&text, "SELECT a40 USING data AS a0");
    for (int i = 1; i <= 40; i++)
        (void)buf_addf(&text, ", STRCAT(a%d, a%d) AS a%d", i - 1, i - 1, i);
    (void)buf_add_str(&text, " FROM x");
    translate(&o, buf_slice(&text));
    assert_int_equal(o.error, -E2BIG);
    outcome_done(&o);
    buf_clear(&text);
    for (unsigned i = 0; i <= LOGPARSER_TEXT_MAX; i++)
        (void)buf_push(&text, 'x');
    translate(&o, slice_make(text.ptr, LOGPARSER_TEXT_MAX));
    assert_int_equal(o.error, 0); /* SQLite will say that it is none */
    outcome_done(&o);
    buf_done(&text);
}

static void test_too_long(void **state)
{
    static uint8_t text[LOGPARSER_TEXT_MAX + 1];
    struct outcome o;

    (void)state;
    memset(text, 'x', sizeof(text));
    translate(&o, slice_make(text, sizeof(text)));
    assert_int_equal(o.error, -E2BIG);
    outcome_done(&o);
    translate(&o, SLICE_LIT("SELECT a\0 FROM b"));
    assert_int_equal(o.error, -EINVAL);
    outcome_done(&o);
}

static void test_options(void **state)
{
    static const char *const options[] = {"-i:CSV", "-nSkipLines:4", "-rtp:-1", "-o:"};
    static const char *const others[] = {"-", "-x", "--json", "-5:3", "i:CSV", "", "-:x"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        assert_true(logparser_is_option(slice_str(options[i])));
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_false(logparser_is_option(slice_str(others[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_aliases_are_bounded),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
