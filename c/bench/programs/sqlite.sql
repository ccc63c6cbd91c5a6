-- A database in memory, with values that are larger than a MiB; @SCALE@ is put in before.
PRAGMA cache_size = -200000;
CREATE TABLE numbers (id INTEGER PRIMARY KEY, a INTEGER, b TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000 * @SCALE@)
  INSERT INTO numbers SELECT i, (i * 7919) % 100003, printf('text %d of %d', i, i % 977) FROM n;
CREATE INDEX by_b ON numbers (b, a);
SELECT count(*), sum(a), min(b), max(b) FROM numbers;
SELECT a % 10, count(*), group_concat(b, '') IS NOT NULL, sum(length(b)) FROM numbers GROUP BY a % 10;
SELECT length(group_concat(b, ',')) FROM (SELECT b FROM numbers ORDER BY b DESC);
CREATE TABLE large (id INTEGER PRIMARY KEY, bytes BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
  INSERT INTO large SELECT i, zeroblob(500000 * @SCALE@ + i) FROM n;
SELECT id, length(hex(bytes)) FROM large;
UPDATE large SET bytes = CAST(replace(hex(bytes), '00', 'ab') AS BLOB) WHERE id <= 5;
SELECT id, length(bytes), substr(CAST(bytes AS TEXT), 1000, 6) FROM large;
DELETE FROM numbers WHERE id % 3 = 0;
VACUUM;
PRAGMA integrity_check;
SELECT count(*), sum(a) FROM numbers;
