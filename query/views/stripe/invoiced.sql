-- Every invoice with all of its lines: amounts in the smallest unit, times in seconds.
--
-- An invoice has its first ten lines within it. Where there are more they come from the table invoice_line_items, and
-- where they are not there either it is cut.
WITH behind AS (
    SELECT
        invoice_id,
        list(struct_pack(
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
        )) AS data
    FROM invoice_line_items
    WHERE invoice_id IN (SELECT id FROM invoices WHERE (lines ->> '$.has_more')::BOOLEAN)
    GROUP BY invoice_id
),
within AS (
    SELECT *, from_json(lines, '{
        "has_more": "BOOLEAN",
        "data": [{
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
        }]
    }') AS first
    FROM invoices
),
whole AS (
    SELECT
        within.*,
        coalesce(first.has_more, false) AND behind.data IS NULL AS is_cut,
        CASE WHEN first.has_more AND behind.data IS NOT NULL THEN behind.data ELSE first.data END AS data
    FROM within LEFT JOIN behind ON behind.invoice_id = within.id
)
SELECT
    id,
    customer,
    lower(currency) AS currency,
    status,
    auto_advance,
    created,
    coalesce(
        (status_transitions ->> '$.paid_at')::BIGINT, (status_transitions ->> '$.finalized_at')::BIGINT, created
    ) AS paid_at,
    parent ->> '$.subscription_details.subscription' AS subscription_id,
    total,
    coalesce(
        total_excluding_tax, total - coalesce(list_sum((total_taxes -> '$[*].amount')::BIGINT[]), 0)
    )::BIGINT AS amount,
    coalesce(list_sum((total_discount_amounts -> '$[*].amount')::BIGINT[]), 0)::BIGINT AS discount,
    is_cut,
    [
        struct_pack(
            id := line.id,
            currency := lower(line.currency),
            description := line.description,
            quantity := line.quantity,
            gross := coalesce(line.amount, 0) - coalesce(
                list_sum([each.amount FOR each IN line.taxes IF each.tax_behavior = 'inclusive']), 0
            )::BIGINT,
            discount := coalesce(list_sum([each.amount FOR each IN line.discount_amounts]), 0)::BIGINT,
            tax := coalesce(list_sum([each.amount FOR each IN line.taxes]), 0)::BIGINT,
            period_start := line.period.start,
            period_end := line.period."end",
            price_id := line.pricing.price_details.price,
            product_id := line.pricing.price_details.product,
            subscription_id := coalesce(
                line.parent.subscription_item_details.subscription, line.parent.invoice_item_details.subscription
            ),
            is_of_subscription := coalesce(line.parent.type = 'subscription_item_details', false),
            is_proration := coalesce(
                line.parent.subscription_item_details.proration, line.parent.invoice_item_details.proration, false
            )
        )
        FOR line IN coalesce(data, [])
    ] AS lines
FROM whole
