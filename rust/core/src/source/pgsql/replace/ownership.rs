//! Whose the restored objects are, and what others may do with them. A dump says neither: its roles may not exist here. So
//! each gets what the live object of its name has; new ones get the owner that most live ones have.

use crate::config::Connection;
use crate::source::pgsql::connect::session::{rows, string};
use crate::{Monitor, Result};

/// The statements that make the objects of the schema `new` like those of `live`.
pub(crate) fn statements(
    connection: &Connection,
    live: &str,
    new: &str,
    monitor: &Monitor,
) -> Result<Vec<String>> {
    let sql = TEXT.replace("{live}", &string(live)).replace("{new}", &string(new));
    Ok(rows(connection, &sql, monitor)?.into_iter().flatten().collect())
}

/// Owners first: who gives a privilege is then the one who gave it before.
const TEXT: &str = "\
WITH spaces AS (SELECT (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {live}) AS live, \
    (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {new}) AS new), \
usual AS (SELECT coalesce((SELECT c.relowner FROM pg_catalog.pg_class c, spaces WHERE c.relnamespace = spaces.live \
    AND c.relkind IN ('r', 'p') GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1), \
    (SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())) AS owner), \
relations AS (SELECT n.oid, n.relkind, n.relowner, n.relname, o.oid AS old, o.relowner AS old_owner, o.relacl \
    FROM spaces JOIN pg_catalog.pg_class n ON n.relnamespace = spaces.new AND n.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
    LEFT JOIN pg_catalog.pg_class o ON o.relnamespace = spaces.live AND o.relname = n.relname \
    AND o.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')), \
routines AS (SELECT n.oid, n.proowner, o.oid AS old, o.proowner AS old_owner, o.proacl FROM spaces \
    JOIN pg_catalog.pg_proc n ON n.pronamespace = spaces.new LEFT JOIN pg_catalog.pg_proc o ON o.pronamespace = spaces.live \
    AND o.proname = n.proname AND pg_catalog.pg_get_function_identity_arguments(o.oid) = \
    pg_catalog.pg_get_function_identity_arguments(n.oid)), \
types AS (SELECT n.oid, n.typtype, n.typowner, o.typowner AS old_owner FROM spaces \
    JOIN pg_catalog.pg_type n ON n.typnamespace = spaces.new AND n.typelem = 0 \
    LEFT JOIN pg_catalog.pg_class r ON r.oid = n.typrelid LEFT JOIN pg_catalog.pg_type o ON o.typnamespace = spaces.live \
    AND o.typname = n.typname WHERE n.typtype IN ('d', 'e', 'r') OR r.relkind = 'c'), \
owners AS ( \
    SELECT 'TABLE' AS kind, oid::pg_catalog.regclass::text AS name, relowner AS mine, coalesce(old_owner, usual.owner) AS theirs \
    FROM relations, usual WHERE NOT (relkind = 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend d \
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = relations.oid AND d.deptype IN ('a', 'i') \
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)) \
    UNION ALL SELECT 'ROUTINE', oid::pg_catalog.regprocedure::text, proowner, coalesce(old_owner, usual.owner) \
    FROM routines, usual \
    UNION ALL SELECT CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, oid::pg_catalog.regtype::text, typowner, \
    coalesce(old_owner, usual.owner) FROM types, usual), \
grants AS ( \
    SELECT pg_catalog.format('%s ON TABLE %s', a.privilege_type, r.oid::pg_catalog.regclass) AS what, a.grantee, a.is_grantable \
    FROM relations r, pg_catalog.aclexplode(r.relacl) a WHERE a.grantee <> r.old_owner \
    AND (r.relkind <> 'S' OR a.privilege_type IN ('SELECT', 'UPDATE', 'USAGE')) AND r.relkind <> 'S' \
    UNION ALL SELECT pg_catalog.format('%s ON SEQUENCE %s', a.privilege_type, r.oid::pg_catalog.regclass), a.grantee, \
    a.is_grantable FROM relations r, pg_catalog.aclexplode(r.relacl) a WHERE a.grantee <> r.old_owner AND r.relkind = 'S' \
    AND a.privilege_type IN ('SELECT', 'UPDATE', 'USAGE') \
    UNION ALL SELECT pg_catalog.format('%s (%I) ON TABLE %s', a.privilege_type, c.attname, r.oid::pg_catalog.regclass), \
    a.grantee, a.is_grantable FROM relations r JOIN pg_catalog.pg_attribute c ON c.attrelid = r.old AND c.attacl IS NOT NULL \
    JOIN pg_catalog.pg_attribute m ON m.attrelid = r.oid AND m.attname = c.attname AND NOT m.attisdropped, \
    pg_catalog.aclexplode(c.attacl) a WHERE a.grantee <> r.old_owner \
    UNION ALL SELECT pg_catalog.format('%s ON ROUTINE %s', a.privilege_type, r.oid::pg_catalog.regprocedure), a.grantee, \
    a.is_grantable FROM routines r, pg_catalog.aclexplode(r.proacl) a WHERE a.grantee <> r.old_owner), \
lines AS ( \
    SELECT 1 AS turn, pg_catalog.format('ALTER %s %s OWNER TO %I', kind, name, pg_catalog.pg_get_userbyid(theirs)) AS line \
    FROM owners WHERE mine <> theirs AND pg_catalog.pg_has_role(theirs, 'MEMBER') \
    UNION ALL SELECT 2, pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', oid::pg_catalog.regprocedure) FROM routines \
    WHERE proacl IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(proacl) a WHERE a.grantee = 0) \
    UNION ALL SELECT 3, pg_catalog.format('GRANT %s TO %s%s', what, CASE grantee WHEN 0 THEN 'PUBLIC' \
    ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' \
    ELSE '' END) FROM grants \
    UNION ALL SELECT 4, pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT %s ON %s TO %s', \
    pg_catalog.pg_get_userbyid(d.defaclrole), {new}, a.privilege_type, CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' \
    WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' ELSE 'TYPES' END, CASE a.grantee WHEN 0 THEN 'PUBLIC' \
    ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END) FROM spaces \
    JOIN pg_catalog.pg_default_acl d ON d.defaclnamespace = spaces.live, pg_catalog.aclexplode(d.defaclacl) a \
    WHERE pg_catalog.pg_has_role(d.defaclrole, 'MEMBER')) \
SELECT line FROM lines ORDER BY turn, line";
