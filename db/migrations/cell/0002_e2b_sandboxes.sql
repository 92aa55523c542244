ALTER TABLE `sandboxes` ADD `on_timeout` text DEFAULT 'kill' NOT NULL;--> statement-breakpoint
ALTER TABLE `sandboxes` ADD `keep_memory` integer DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE `sandboxes` ADD `auto_resume` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `sandboxes` ADD `envd_open` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `sandboxes` ADD `public_ports` integer DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE `sandboxes` ADD `mask_request_host` text;--> statement-breakpoint
ALTER TABLE `sandboxes` ADD `egress` text DEFAULT '{"allow":[],"deny":[]}' NOT NULL;--> statement-breakpoint
ALTER TABLE `sandboxes` ADD `snapshot_id` text;