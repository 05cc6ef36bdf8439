-- Every line of every invoice: amounts in the smallest unit, times in seconds.
--
-- An invoice has its first ten lines within it; where there are more, they come from the table invoice_line_items.
WITH found AS (
    SELECT
        id AS invoice_id,
        unnest(from_json(lines, '{"data": [{
            "id": "VARCHAR", "amount": "BIGINT", "currency": "VARCHAR", "description": "VARCHAR", "quantity": "BIGINT",
            "period": {"start": "BIGINT", "end": "BIGINT"},
            "discount_amounts": [{"amount": "BIGINT"}],
            "taxes": [{"amount": "BIGINT", "tax_behavior": "VARCHAR"}],
            "parent": {
                "type": "VARCHAR",
                "invoice_item_details": {"subscription": "VARCHAR", "proration": "BOOLEAN"},
                "subscription_item_details": {"subscription": "VARCHAR", "proration": "BOOLEAN"}
            },
            "pricing": {"price_details": {"price": "VARCHAR", "product": "VARCHAR"}}
        }]}').data) AS line
    FROM invoices
    WHERE NOT coalesce((lines ->> '$.has_more')::BOOLEAN, false)
        OR id NOT IN (SELECT invoice_id FROM invoice_line_items WHERE invoice_id IS NOT NULL)
    UNION ALL
    SELECT
        invoice_id,
        struct_pack(
            id := id, amount := amount, currency := currency, description := description, quantity := quantity,
            period := from_json(period, '{"start": "BIGINT", "end": "BIGINT"}'),
            discount_amounts := from_json(discount_amounts, '[{"amount": "BIGINT"}]'),
            taxes := from_json(taxes, '[{"amount": "BIGINT", "tax_behavior": "VARCHAR"}]'),
            parent := from_json(parent, '{
                "type": "VARCHAR",
                "invoice_item_details": {"subscription": "VARCHAR", "proration": "BOOLEAN"},
                "subscription_item_details": {"subscription": "VARCHAR", "proration": "BOOLEAN"}
            }'),
            pricing := from_json(pricing, '{"price_details": {"price": "VARCHAR", "product": "VARCHAR"}}')
        ) AS line
    FROM invoice_line_items
    WHERE invoice_id IN (SELECT id FROM invoices WHERE (lines ->> '$.has_more')::BOOLEAN)
),
summed AS (
    SELECT
        invoice_id,
        line,
        coalesce(list_sum([each.amount FOR each IN line.discount_amounts]), 0)::BIGINT AS discount,
        coalesce(list_sum([each.amount FOR each IN line.taxes]), 0)::BIGINT AS tax,
        coalesce(list_sum([each.amount FOR each IN line.taxes IF each.tax_behavior = 'inclusive']), 0)::BIGINT
            AS tax_within,
        coalesce(
            line.parent.subscription_item_details.subscription, line.parent.invoice_item_details.subscription
        ) AS subscription_id,
        coalesce(
            line.parent.subscription_item_details.proration, line.parent.invoice_item_details.proration, false
        ) AS is_proration
    FROM found
)
SELECT
    invoice_id,
    line.id AS line_id,
    lower(line.currency) AS currency,
    line.description AS description,
    line.quantity AS quantity,
    coalesce(line.amount, 0) - tax_within AS gross,
    discount,
    tax,
    line.period.start AS period_start,
    line.period."end" AS period_end,
    line.pricing.price_details.price AS price_id,
    line.pricing.price_details.product AS product_id,
    subscription_id,
    subscription_id IS NOT NULL AND (is_proration OR line.parent.type = 'subscription_item_details') AS is_recurring,
    is_proration
FROM summed
