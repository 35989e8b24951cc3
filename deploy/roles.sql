-- Database roles of Sema Link: run once per cluster by a superuser, before the first migration. Repeatable.
--
-- sema_owner owns every object and never logs in. sema_migrator may become it, for migrations only.
-- Each service logs in as its own role; the grants are in the migrations beside the tables.
-- `main_api` reads for one tenant at a time (RLS by app.tenant_id); the `_pipeline` roles do batch work
-- across tenants under a policy of their own. Nobody has BYPASSRLS, and nobody but sema_owner owns a table.
-- Passwords are set by the deployment (ALTER ROLE … PASSWORD), never here.

DO $$
DECLARE
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sema_owner') THEN
        CREATE ROLE sema_owner NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
    FOREACH name IN ARRAY ARRAY[
        'sema_migrator', 'main_api', 'main_api_pipeline', 'sms_worker_pipeline', 'dlr_processor_pipeline',
        'phone_validator_pipeline', 'content_worker_pipeline', 'webhook_delivery_pipeline'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', name);
        END IF;
        -- A session that dies in the middle of a transaction must not hold locks for long.
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', name, '15s');
        -- Nobody waits longer for a row that somebody else holds: the transaction fails as busy and says so.
        EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', name, '3s');
        -- Set-based batches over unnest() must look rows up by key whatever the statistics say: on a fresh
        -- table or a new month the planner otherwise turns a batch into a scan of the whole partition.
        IF name LIKE '%\_pipeline' THEN
            EXECUTE format('ALTER ROLE %I SET jit = off', name);
            EXECUTE format('ALTER ROLE %I SET enable_seqscan = off', name);
            EXECUTE format('ALTER ROLE %I SET enable_hashjoin = off', name);
            EXECUTE format('ALTER ROLE %I SET enable_mergejoin = off', name);
        END IF;
    END LOOP;
END
$$;

GRANT sema_owner TO sema_migrator;
ALTER ROLE sema_migrator SET role = 'sema_owner';
ALTER ROLE sema_migrator SET lock_timeout = '5s';
ALTER ROLE main_api SET jit = off;
