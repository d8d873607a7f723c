-- bam PostgreSQL dump 1
-- bam-schema: "public"
-- bam-prefix: ""
-- bam-excluded: []
--
SET statement_timeout = 0;
CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql AS $_$SELECT 1; /* /* nested */ */$_$;
CREATE TABLE public.node (nid integer, "a b" text DEFAULT E'it\''');
COPY public.node (nid, "a b") FROM stdin;
1	x\\y
\N	$$
\.
SELECT pg_catalog.lo_create('1');
\connect other
-- PostgreSQL database dump complete
