ALTER TABLE `tenant_storage` ADD `record_bytes` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `tenant_storage` ADD `condemned_bytes` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `tenant_storage` ADD `condemned_count` integer DEFAULT 0 NOT NULL;