-- Every column type of MariaDB 10.11 with its edges, and what else a dump can get wrong.
set sql_mode = 'NO_AUTO_VALUE_ON_ZERO';

create table numbers (
  id int unsigned not null auto_increment primary key,
  a tinyint, b tinyint unsigned, c smallint, d mediumint, e int zerofill, f bigint, g bigint unsigned,
  h decimal(65, 30), i float, j double, k bit(1), l bit(64), m boolean not null default true
) auto_increment = 7777;
insert into numbers values
  (0, -128, 255, -32768, -8388608, 42, -9223372036854775808, 18446744073709551615,
   -99999999999999999999999999999999999.999999999999999999999999999999, 1.17549e-38, 2.2250738585072014e-308,
   b'1', b'1111111111111111111111111111111111111111111111111111111111111111', false),
  (1, null, null, null, null, null, null, null, null, null, null, null, null, true),
  (2, 0, 0, 0, 0, 0, 0, 0, 0.1, 0.1, 0.1, b'0', b'0', true);

create table times (
  a date, b datetime, c datetime(6), d timestamp null, e timestamp(6) null, f time, g time(6), h year
);
insert into times values
  ('0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00.000000', '0000-00-00 00:00:00', null,
   '-838:59:59', '838:59:59.999999', 0000),
  ('9999-12-31', '9999-12-31 23:59:59', '1000-01-01 00:00:00.000001', '1970-01-01 12:00:01',
   '2038-01-18 03:14:07.999999', '00:00:00', '00:00:00.000001', 2155),
  ('2026-02-00', '2026-00-00 00:00:00', null, '2026-03-29 02:30:00', null, null, null, null);

create table texts (
  id int primary key,
  a char(10), b varchar(255) character set latin1, c text, d mediumtext character set utf8mb4, e longtext,
  f tinytext, g enum('', 'a,b', 'it''s', 'ü') character set utf8mb4, h set('x', 'y', 'z'), i json,
  j varchar(191) character set utf8mb4 collate utf8mb4_bin, k char(3) character set ucs2
) character set utf8mb4;
insert into texts values
  (1, '', '', '', '', '', '', '', '', '{}', '', ''),
  (2, 'trailing  ', 'latin1 é', 'a\0b\nc\rd\te\Zf\\g''h"i`j', '😀🏳️‍🌈 𝒳', repeat('ab\n', 100000), '\\', 'it''s',
   'x,z', '{"a": [1, "😀", null]}', 'ÄÖÜ', 'aé€'),
  (3, null, null, null, null, null, null, null, null, null, null, null),
  (4, '--', '/* not a comment */', ';\n-- not either\nDELIMITER ;;', '/*!50000 nor this */', 'NULL', '\\N', 'ü',
   'x,y,z', '"x"', '\\0', null);

create table bytes (
  id int primary key, a binary(4), b varbinary(300), c tinyblob, d blob, e mediumblob, f longblob
);
insert into bytes values
  (1, '', '', '', '', '', ''),
  (2, x'00ff', x'000a0d1a5c2722', x'00', x'ff', x'1a', x'5c'),
  (3, null, null, null, null, null, null);
-- Every byte value, then 20 MB of bytes that don't repeat.
insert into bytes (id, b) select 4, unhex(group_concat(lpad(hex(seq), 2, '0') order by seq separator ''))
  from seq_0_to_255;
set session group_concat_max_len = 64 << 20;
insert into bytes (id, f) select 5, unhex(group_concat(sha2(seq, 512) order by seq separator ''))
  from seq_1_to_327680;

create table places (
  id int primary key, a point, b linestring, c polygon, d geometry, e inet6, f uuid, g inet4
);
insert into places values
  (1, point(1, -1), st_geomfromtext('linestring(0 0, 1 1)'), st_geomfromtext('polygon((0 0, 4 0, 4 4, 0 0))'),
   st_geomfromtext('geometrycollection(point(1 1))'), '2001:db8::ff00:42:8329',
   '123e4567-e89b-12d3-a456-426655440000', '192.0.2.1'),
  (2, null, null, null, null, null, null, null);

create table `generated` (
  id int primary key, a int, v int as (a * 2) virtual, s varchar(20) as (concat('<', a, '>')) stored,
  hidden int invisible default 7, check (a < 1000), key (s)
);
insert into `generated` (id, a, hidden) values (1, 21, 8), (2, null, 9);

-- Names that need quoting.
create table `select` (`from` int primary key, `a``b` text, `sp ace` int, `ünï` int);
insert into `select` values (1, 'quoted', 2, 3);
create table `semi;colon--` (a int);
insert into `semi;colon--` values (1);
create table empty_one (a int, key (a));

create table parents (id int primary key) engine = InnoDB;
create table children (
  id int primary key, parent int, self int,
  foreign key (parent) references parents (id) on delete cascade, foreign key (self) references children (id)
) engine = InnoDB;
insert into parents values (1), (2);
insert into children values (1, 2, 1), (2, 1, 1);
create table isam (a int primary key auto_increment, b varchar(20), fulltext key (b)) engine = MyISAM;
insert into isam (b) values ('not'), ('transactional');
create table parted (a int) partition by hash (a) partitions 3;
insert into parted values (1), (2), (3), (4);
create table packed (a int primary key, b text) row_format = compressed comment = 'it''s "packed"';
insert into packed values (1, 'x');
create table changes (what varchar(20), n int);

create view shown as select `from` as a, `ünï` as b from `select` where `from` > 0;
-- Before what it reads in the alphabet.
create view a_view_of_a_view as select * from shown;
create trigger counted after insert on parents for each row insert into changes values ('parent; it''s', new.id);
create trigger removed before delete on parents for each row
  insert into changes values ('gone', old.id);
