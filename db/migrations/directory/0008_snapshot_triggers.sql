-- A snapshot's bytes are the tenant's from before they are written until it is deleted, and count as let go until its object is gone.
CREATE TRIGGER snapshots_stored AFTER UPDATE OF size_bytes ON snapshots WHEN new.state <> 'deleted' BEGIN
  UPDATE tenant_storage SET bytes = bytes + new.size_bytes - old.size_bytes WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER snapshots_let_go AFTER UPDATE OF state ON snapshots WHEN old.state <> 'deleted' AND new.state = 'deleted' BEGIN
  UPDATE tenant_storage SET bytes = bytes - new.size_bytes, condemned_bytes = condemned_bytes + new.size_bytes,
    condemned_count = condemned_count + 1 WHERE tenant_id = new.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER snapshots_swept AFTER DELETE ON snapshots WHEN old.state = 'deleted' BEGIN
  UPDATE tenant_storage SET condemned_bytes = condemned_bytes - old.size_bytes, condemned_count = condemned_count - 1
    WHERE tenant_id = old.tenant_id;
END;
--> statement-breakpoint
CREATE TRIGGER snapshots_given_up AFTER DELETE ON snapshots WHEN old.state <> 'deleted' BEGIN
  UPDATE tenant_storage SET bytes = bytes - old.size_bytes WHERE tenant_id = old.tenant_id;
END;
