import { useQuery } from '@tanstack/react-query';
import { Input, Modal, theme, Typography } from 'antd';
import { useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { body } from '../api/client';
import { getModels } from '../api/gen';
import { useMay, useMe } from '../api/me';
import { VIEWS } from './nav';

type Item = { key: string; label: string; group: string; path: string };

/** ⌘K: views, models, a task by its number. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { token } = theme.useToken();
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const { data: me } = useMe();
  const may = useMay();
  const models = useQuery({ queryKey: ['models'], enabled: may('models:read'), queryFn: () => body(getModels({ throwOnError: true })) });
  const items = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    const found: Item[] = VIEWS.filter(({ needs }) => !me || me.permissions.includes(needs)).map(({ view, path }) => ({ key: path, label: t(`nav.${view}`), group: t('palette.views'), path }));
    for (const { name } of models.data?.items ?? []) found.push({ key: `m:${name}`, label: name, group: t('palette.models'), path: `/models/${encodeURIComponent(name)}` });
    const matching = found.filter(({ label }) => label.toLowerCase().includes(wanted));
    const id = /^#?(\d+)$/.exec(wanted)?.[1];
    return (id ? [{ key: `t:${id}`, label: t('palette.task', { id }), group: t('palette.tasks'), path: `/tasks/${id}` }, ...matching] : matching).slice(0, 12);
  }, [text, models.data, me, t]);
  useEffect(() => {
    document.getElementById(`palette-${at}`)?.scrollIntoView({ block: 'nearest' });
  }, [at]);
  const choose = (item: Item | undefined) => {
    if (!item) return;
    onClose();
    void navigate(item.path);
  };
  const hear = (event: React.KeyboardEvent) => {
    if (event.key === 'ArrowDown') setAt((n) => Math.min(n + 1, items.length - 1));
    else if (event.key === 'ArrowUp') setAt((n) => Math.max(n - 1, 0));
    else if (event.key === 'Enter') choose(items[at]);
    else return;
    event.preventDefault();
  };
  return (
    <Modal open footer={null} closable={false} onCancel={onClose} styles={{ body: { padding: 0 } }} title={t('palette.label')} classNames={{ header: 'unseen' }}>
      <Input
        autoFocus
        size="large"
        variant="borderless"
        placeholder={t('palette.placeholder')}
        aria-label={t('palette.label')}
        role="combobox"
        aria-expanded
        aria-controls="palette-list"
        aria-activedescendant={items[at] ? `palette-${at}` : undefined}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={hear}
      />
      <div role="listbox" id="palette-list" aria-label={t('palette.label')} style={{ maxHeight: 360, overflow: 'auto', borderBlockStart: `1px solid ${token.colorBorderSecondary}`, paddingBlock: 4 }}>
        {items.length === 0 && <Typography.Text type="secondary" style={{ display: 'block', padding: 12 }}>{t('palette.none')}</Typography.Text>}
        {items.map((item, index) => (
          <div
            key={item.key}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === at}
            onMouseEnter={() => setAt(index)}
            onClick={() => choose(item)}
            style={{ display: 'flex', justifyContent: 'space-between', gap: 12, padding: '8px 12px', borderRadius: 6, cursor: 'pointer', background: index === at ? token.controlItemBgActive : undefined }}
          >
            <span>{item.label}</span>
            <Typography.Text type="secondary">{item.group}</Typography.Text>
          </div>
        ))}
      </div>
    </Modal>
  );
}
