//! A database that holds everything MariaDB or MySQL has: each column type at its edges, each kind of object, ugly names.

use super::mariadb;
use std::fmt::Write;

/// SQL that makes it. Needs a client with utf8mb4 and 64 MiB packets.
pub fn sql() -> String {
    let mut sql = String::new();
    for line in STRUCTURE.lines() {
        // What only one of them has is marked.
        match (line.strip_prefix("[mariadb]"), line.strip_prefix("[mysql]")) {
            (None, None) => writeln!(sql, "{line}").unwrap(),
            (own, other) => {
                writeln!(sql, "{}", if mariadb::is_mysql() { other } else { own }.unwrap_or_default())
                    .unwrap()
            }
        }
    }
    // All 256 byte values, and everything that could be taken for an end of something.
    let bytes: String = (0..=255).map(|byte: u8| format!("{byte:02x}")).collect();
    writeln!(
        sql,
        "INSERT INTO bytes VALUES (1, x'{bytes}', x'{bytes}', x'{bytes}', x'{bytes}', x'', x'{bytes}'), \
         (2, NULL, x'', x'', NULL, NULL, x''), (3, x'2d2d205c', x'3b0a', x'3b0a494e53455254', x'2f2a21', x'00', x'5c30');"
    )
    .unwrap();
    // 20 MB that are no text and hold every pair of bytes.
    sql.push_str(
        "INSERT INTO bytes (id, l) SELECT 4, REPEAT(GROUP_CONCAT(UNHEX(LPAD(HEX(seq), 4, '0')) ORDER BY seq SEPARATOR \
         ''), 160) FROM seq_0_to_65535;\n",
    );
    sql
}

const STRUCTURE: &str = r#"
SET NAMES utf8mb4, sql_mode = '', group_concat_max_len = 1000000, foreign_key_checks = 0, time_zone = '+00:00';
CREATE TABLE numbers (
  t tinyint, tu tinyint unsigned zerofill, b bool, s smallint, su smallint unsigned, m mediumint,
  mu mediumint(8) unsigned zerofill, i int, iu int unsigned, g bigint, gu bigint unsigned,
  d decimal(65,30), d2 decimal(10,2) unsigned, f float, f2 float(7,4), db double, db2 double(16,4),
  b1 bit(1), b9 bit(9), b64 bit(64)
) DEFAULT CHARSET=utf8mb4;
INSERT INTO numbers VALUES
  (-128, 0, 1, -32768, 0, -8388608, 0, -2147483648, 0, -9223372036854775808, 0,
   -99999999999999999999999999999999999.999999999999999999999999999999, 0, -3.402823466e38, -123.4567,
   -1.7976931348623157e308, -123456789.1234, b'0', b'0', b'0'),
  (127, 255, 0, 32767, 65535, 8388607, 16777215, 2147483647, 4294967295, 9223372036854775807,
   18446744073709551615, 0.000000000000000000000000000001, 99999999.99, 1.175494351e-38, 0.1, 2.2250738585072014e-308,
   0.1, b'1', b'111111111', 0xFFFFFFFFFFFFFFFF),
  (1, 7, 1, 1, 1, 1, 42, 1, 1, 1, 1, 1.5, 1.5, 16777215, 0.3333, 0.1234567890123456789, 1, b'1', b'100100111',
   0x275C0A0D00220001),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0.1234567, NULL, 1e23, NULL, NULL,
   NULL, NULL);
CREATE TABLE times (
  d date, t time, t6 time(6), dt datetime, dt6 datetime(6), ts timestamp NULL, ts6 timestamp(6) NULL, y year,
  made timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp()
);
INSERT INTO times VALUES
  ('0000-00-00', '-838:59:59', '-00:00:00.000001', '0000-00-00 00:00:00', '0000-00-00', '0000-00-00 00:00:00',
   '1970-01-01 00:00:01.000001', 0, '0000-00-00 00:00:00'),
  ('2024-00-00', '838:59:59', '838:59:59.999999', '9999-12-31 23:59:59', '9999-12-31 23:59:59.999999',
   '2038-01-19 03:14:07', '2038-01-19 03:14:07.999999', 2155, '2024-10-27 00:30:00'),
  ('2024-02-29', '00:00:00', '12:34:56.789', '2024-03-31 02:30:00', '1000-01-01', NULL, NULL, 1901, '2024-10-27 01:30:00'),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2024-01-01');
CREATE TABLE texts (
  id int NOT NULL PRIMARY KEY, c char(10), v varchar(255) DEFAULT 'a''b\\c;\n', tt tinytext, t text, m mediumtext, l longtext,
  lat varchar(100) CHARACTER SET latin1, latt text CHARACTER SET latin1 COLLATE latin1_german2_ci,
  bin varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, u16 varchar(50) CHARACTER SET utf16,
  sj varchar(50) CHARACTER SET sjis, gb text CHARACTER SET gbk,
  e enum('a','ä''\\;','','☃') DEFAULT 'ä''\\;', s set('x','y;','z"'), j json, u3 text CHARACTER SET utf8mb3
) DEFAULT CHARSET=utf8mb4 COMMENT='it''s; a -- "comment" /* with */ `marks`';
INSERT INTO texts (id) VALUES (1);
INSERT INTO texts VALUES
  (2, '', '', '', '', '', '', '', '', '', '', '', '', '', '', '{}', ''),
  (3, 'ä€😀', 'it''s "quoted" `back` \\ \n\r\t\0 \Z %_ ;', '-- no comment', '/* none */', '/*! none */', '#',
   'äöüß€', 'straße', 'ÄäA', 'ä€😀', '表ソ', '誠乗', 'a', 'x,z"', '{"a": ["b;\\n", null, 1e3, "\\u20ac😀"]}', '€'),
  (4, NULL, NULL, NULL, REPEAT('\\', 20001), REPEAT('''', 20001), REPEAT('😀;\n', 300000), NULL, NULL, NULL, NULL, NULL, NULL,
   '☃', 'y;', 'null', NULL),
  (5, 'NULL', 'NULL', '\\N', '\n-- x\nDELIMITER //\n', 'USE mysql;\nDROP TABLE texts;\n', 'COMMIT;\n', NULL, NULL, ' trailing ', NULL, NULL, NULL,
   '', '', '[]', NULL);
CREATE TABLE bytes (
  id int NOT NULL PRIMARY KEY, b binary(255), vb varbinary(300), tb tinyblob, bl blob, mb mediumblob, l longblob
);
ALTER TABLE bytes MODIFY b binary(255), MODIFY tb varbinary(256);
CREATE TABLE others (id serial, u uuid, i6 inet6, i4 inet4, g geometry, p point, l linestring, po polygon, mp multipoint,
  ml multilinestring, mpo multipolygon, gc geometrycollection) DEFAULT CHARSET=utf8mb4;
INSERT INTO others VALUES
  (NULL, '00275c0a-0d22-1a00-ffff-3b0a27275c5c', '2001:db8::275c:a0d', '39.92.10.13', POINT(1.5, -2.5), POINT(0, 1e300),
   ST_LineFromText('LINESTRING(0 0, 1.1 2.2)'), ST_PolyFromText('POLYGON((0 0, 1 0, 1 1, 0 0))'),
   ST_MPointFromText('MULTIPOINT(0 0, 39 92)'), ST_MLineFromText('MULTILINESTRING((0 0, 1 1),(2 2, 3 3))'),
   ST_MPolyFromText('MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)))'), ST_GeomCollFromText('GEOMETRYCOLLECTION(POINT(1 1))')),
  (NULL, NULL, '::', '0.0.0.0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE `select` (`from` int PRIMARY KEY, `a b` int, `c``d` int, `é☃` int, `;` int, `--` int, `\` int, KEY `key` (`a b`, `c``d`));
INSERT INTO `select` VALUES (1, 2, 3, 4, 5, 6, 7);
CREATE TABLE `ta ble``'"\;é☃` (a int);
INSERT INTO `ta ble``'"\;é☃` VALUES (1);
CREATE TABLE `-- x` (a int);
INSERT INTO `-- x` VALUES (1);
CREATE TABLE `UPPER` (a int); INSERT INTO `UPPER` VALUES (1);
CREATE TABLE `generated` (a int, v int GENERATED ALWAYS AS (a * 2) VIRTUAL, s varchar(20) GENERATED ALWAYS AS (concat(a, ';''x')) STORED,
  c int DEFAULT (1 + 2) CHECK (c > 0), h int INVISIBLE DEFAULT 7, KEY (v), KEY (s));
INSERT INTO `generated` (a) VALUES (1), (2), (NULL);
UPDATE `generated` SET h = 8 WHERE a = 2;
CREATE TABLE empty_counted (id int NOT NULL AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT=4711;
CREATE TABLE zero_key (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, a int);
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; INSERT INTO zero_key VALUES (0, 1), (5, 2); SET sql_mode = '';
CREATE TABLE my (a int PRIMARY KEY, b text, FULLTEXT KEY (b)) ENGINE=MyISAM; INSERT INTO my VALUES (1, 'x'), (2, NULL);
[mariadb]CREATE TABLE aria (a int, KEY (a)) ENGINE=Aria; INSERT INTO aria VALUES (1), (2);
CREATE TABLE memory (a int) ENGINE=MEMORY; INSERT INTO memory VALUES (1);
CREATE TABLE packed (a int PRIMARY KEY, b longtext) ROW_FORMAT=COMPRESSED; INSERT INTO packed VALUES (1, REPEAT('z', 100000));
CREATE TABLE parts (a int, b int) PARTITION BY RANGE (a) SUBPARTITION BY HASH (b) SUBPARTITIONS 2
  (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1, 1), (100, 2), (NULL, NULL);
CREATE TABLE keyless (a int, b text); INSERT INTO keyless VALUES (1, 'same'), (1, 'same'), (NULL, NULL);
CREATE TABLE many (id int NOT NULL PRIMARY KEY, a varchar(50), b text, UNIQUE KEY (a), KEY (b(10)));
INSERT INTO many SELECT seq, CONCAT('row ', seq), REPEAT(LEFT(SHA2(seq, 256), 32), 3) FROM seq_1_to_40000;
CREATE TABLE no_rows (a int);
CREATE TABLE ring_a (id int PRIMARY KEY, b int, CONSTRAINT ring FOREIGN KEY (b) REFERENCES ring_b (id) ON DELETE CASCADE);
CREATE TABLE ring_b (id int PRIMARY KEY, a int, self int, CONSTRAINT ring2 FOREIGN KEY (a) REFERENCES ring_a (id),
  FOREIGN KEY (self) REFERENCES ring_b (id));
INSERT INTO ring_a VALUES (1, 1), (2, NULL); INSERT INTO ring_b VALUES (1, 1, 1), (2, 2, 1);
[mariadb]CREATE SEQUENCE counter START WITH 5 INCREMENT BY 3 MAXVALUE 1000000 CYCLE; DO NEXTVAL(counter);
[mariadb]CREATE TABLE from_sequence (id int DEFAULT NEXTVAL(counter), a int); INSERT INTO from_sequence (a) VALUES (1);
[mariadb]CREATE TABLE versioned (a int, b varchar(20)) WITH SYSTEM VERSIONING;
[mariadb]INSERT INTO versioned VALUES (1, 'old'), (2, 'stays'); UPDATE versioned SET b = 'new' WHERE a = 1; DELETE FROM versioned WHERE a = 2;
[mysql]CREATE TABLE mysqls_own (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, j json DEFAULT (json_object('a', 1)), tags json, p point NOT NULL SRID 4326,
[mysql]  name varchar(50) COLLATE utf8mb4_0900_ai_ci, n int, v vector(3), SPATIAL KEY (p), KEY lower_name ((lower(name))), KEY down (name DESC) INVISIBLE,
[mysql]  KEY each_tag ((CAST(tags->'$[*]' AS unsigned array))), CONSTRAINT positive CHECK (n > 0) NOT ENFORCED) DEFAULT CHARSET=utf8mb4;
[mysql]INSERT INTO mysqls_own (tags, p, name, n, v) VALUES ('[1, 2, 3]', ST_GeomFromText('POINT(52.5 13.4)', 4326), 'Ä;', -1, STRING_TO_VECTOR('[1, 2.5, -3]'));
[mysql]INSERT INTO mysqls_own (j, tags, p) VALUES ('{"d": 1.0, "e": "\\u0000\\"", "f": 18446744073709551615}', NULL, ST_GeomFromText('POINT(-90 180)', 4326));
[mysql]SET sql_generate_invisible_primary_key = 1; CREATE TABLE hidden_key (a int); INSERT INTO hidden_key VALUES (3), (2); DELETE FROM hidden_key WHERE a = 3;
[mysql]CREATE VIEW windowed AS WITH first AS (SELECT id, a FROM many WHERE id < 5) SELECT id, ROW_NUMBER() OVER (ORDER BY a DESC) AS n FROM first;
[mysql]CREATE VIEW tabled AS SELECT t.tag FROM mysqls_own, JSON_TABLE(tags, '$[*]' COLUMNS (tag int PATH '$')) AS t;
CREATE VIEW v_second AS SELECT id, a FROM many WHERE a <> ';''';
CREATE VIEW a_first AS SELECT id FROM v_second;
CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW `v ``3` AS SELECT '😀;' AS `x y`, `c``d` FROM `select` WITH CASCADED CHECK OPTION;
DELIMITER //
CREATE TRIGGER stamp BEFORE INSERT ON my FOR EACH ROW
BEGIN
  -- a comment; with a ' quote
  SET @x = 'a;b'; /* and // not */
  IF NEW.b = 'it''s' THEN SET NEW.b = "other;"; END IF;
END//
CREATE TRIGGER a_last BEFORE INSERT ON my FOR EACH ROW FOLLOWS stamp SET @y = 1//
CREATE TRIGGER b_first BEFORE INSERT ON my FOR EACH ROW PRECEDES stamp SET @y = 1//
CREATE FUNCTION plus_one(a int) RETURNS int DETERMINISTIC RETURN a + 1//
CREATE PROCEDURE `do; it`(IN a int, OUT b varchar(10))
BEGIN
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET b = '';
  SELECT 'é☃😀;' INTO b;
END//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2024-01-01 03:00:00' DISABLE COMMENT 'x;' DO BEGIN DELETE FROM no_rows; END//
DELIMITER ;
"#;
