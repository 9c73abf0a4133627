-- Tables as `connectors.shape` describes them. One statement sees one snapshot, and says which: what a transaction that
-- it sees wrote, it wrote under this catalogue or an older one. PostgreSQL 15 to 18.

-- name: shapes
-- named: a table's row type is renamed with it, and written for little else (owner, rights). published: by itself or by a
-- partitioned table above it; * where the publication has every table, or its schema.
-- quiet: it, and all between it and the table, were attached in the transaction that made them.
with wanted as (
    select w.schema, w.name, c.oid, c.relkind, c.reltype, c.relowner, c.relreplident, c.relfilenode, c.relname
    from unnest(%(schemas)s::name[], %(names)s::name[]) as w (schema, name)
    left join pg_namespace n on n.nspname = w.schema
    left join pg_class c on c.relnamespace = n.oid and c.relname = w.name and c.relkind in ('r', 'p')
)
select pg_current_snapshot()::text as snapshot,
       w.schema || '.' || w.name as table,
       w.oid::text as identity,
       (select t.xmin::text from pg_type t where t.oid = w.reltype) as named,
       w.relowner::text as owner,
       coalesce(
           (select string_agg(r.oid::text, ',' order by r.oid)
            from pg_publication p
            join pg_publication_rel r on r.prpubid = p.oid
            where p.pubname = %(publication)s
              and (r.prrelid = w.oid or r.prrelid in (select relid from pg_partition_ancestors(w.oid)))),
           (select '*'
            from pg_publication p
            where p.pubname = %(publication)s
              and (p.puballtables
                   or exists (select from pg_publication_namespace s
                              join pg_namespace n on n.oid = s.pnnspid
                              where s.pnpubid = p.oid and n.nspname = w.schema))),
           '') as published,
       w.relreplident::text as rows_identity,
       coalesce((select array_agg(a.attname::text order by k.place)
                 from pg_index i
                 cross join unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality k (attnum, place)
                 join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                 where i.indrelid = w.oid and i.indisprimary), '{}') as key,
       w.relkind = 'p' as partitioned,
       (select jsonb_object_agg(a.attname, jsonb_build_object(
                   'number', a.attnum,
                   'type', format_type(a.atttypid, a.atttypmod)
                       || coalesce((select ' collate ' || quote_ident(l.collname) from pg_collation l
                                    join pg_type y on y.oid = a.atttypid
                                    where l.oid = a.attcollation and l.oid <> y.typcollation), ''),
                   'written', a.xmin::text,
                   'labels', coalesce((select jsonb_object_agg(e.oid::text, e.enumlabel)
                                       from pg_enum e where e.enumtypid = a.atttypid), '{}')))
        from pg_attribute a
        where a.attrelid = w.oid and a.attnum > 0 and not a.attisdropped) as columns,
       case w.relkind when 'p' then (
           select jsonb_object_agg(leaf.oid::text, jsonb_build_object(
                      'name', ln.nspname || '.' || leaf.relname,
                      'file', leaf.relfilenode::text,
                      'quiet', not exists (
                          select
                          from pg_partition_ancestors(leaf.oid) up
                          join pg_inherits i on i.inhrelid = up.relid
                          join pg_class m on m.oid = up.relid
                          join pg_type mt on mt.oid = m.reltype
                          where up.relid in (select relid from pg_partition_tree(w.oid)) and up.relid <> w.oid
                            and i.xmin::text <> mt.xmin::text)))
           from pg_partition_tree(w.oid) tree
           join pg_class leaf on leaf.oid = tree.relid and leaf.relkind in ('r', 'f')
           join pg_namespace ln on ln.oid = leaf.relnamespace
       ) when 'r' then jsonb_build_object(w.oid::text, jsonb_build_object(
           'name', w.schema || '.' || w.name, 'file', w.relfilenode::text, 'quiet', true)) end as parts
from wanted w;

-- name: written
-- Changes with every column that is added, dropped or altered; much quicker than all of the above.
select pg_current_snapshot()::text as snapshot,
       w.oid::text as identity,
       coalesce((select array_agg(a.xmin::text order by a.attnum)::text
                 from pg_attribute a where a.attrelid = w.oid and a.attnum > 0), '') as written
from unnest(%(oids)s::bigint[]::oid[]) as w (oid);

-- name: name_of
select n.nspname || '.' || c.relname as name
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.oid = %(oid)s::bigint;
