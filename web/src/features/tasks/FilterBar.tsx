import { CloseCircleOutlined, FilterOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Badge, Button, Grid, Input, Select } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { getModels } from '../../api/gen';
import { useMay } from '../../api/me';
import { isEmpty, type TaskFilter } from './filter';

const SPANS = ['15m', '1h', '24h', '7d', '30d'] as const;
const FOLDED = ['model', 'priority', 'created', 'metadata'] as const;

function Text({ value, label, width, onCommit, isSearch = false }: { value: string; label: string; width: number | string; onCommit: (text: string) => void; isSearch?: boolean }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return (
    <span data-search={isSearch || undefined} style={isSearch ? { flex: '1 1 220px' } : { width }}>
      <Input allowClear aria-label={label} placeholder={label} style={{ width: '100%' }} value={text} onChange={(event) => { setText(event.target.value); if (event.target.value === '') onCommit(''); }} onPressEnter={() => onCommit(text.trim())} onBlur={() => text.trim() !== value && onCommit(text.trim())} />
    </span>
  );
}

/** What the list is narrowed by; the address bar holds it. */
export function FilterBar({ filter, onChange }: { filter: TaskFilter; onChange: (filter: TaskFilter) => void }) {
  const { t } = useTranslation('tasks');
  const { t: words } = useTranslation();
  const may = useMay();
  const models = useQuery({ queryKey: ['models'], enabled: may('models:read'), queryFn: () => body(getModels({ throwOnError: true })), staleTime: 30_000 });
  const put = (part: Partial<TaskFilter>) => onChange(Object.fromEntries(Object.entries({ ...filter, ...part }).filter(([, value]) => value !== undefined && value !== '')) as TaskFilter);
  const own = filter.created && !(SPANS as readonly string[]).includes(filter.created) ? [{ value: filter.created, label: filter.created }] : [];
  const isPhone = !Grid.useBreakpoint().md;
  const [isUnfolded, setUnfolded] = useState(false);
  const folded = FOLDED.filter((name) => filter[name] !== undefined).length;
  // On a phone everything but the search is behind one button, two to a row.
  const width = (px: number) => (isPhone ? 'calc(50% - 4px)' : px);
  return (
    <div style={{ display: 'flex', flexWrap: 'wrap', gap: 8, marginBottom: 12 }}>
      <Text isSearch label={t('filter.search')} width="100%" value={filter.q ?? ''} onCommit={(q) => put({ q })} />
      {isPhone && (
        <Badge count={folded} size="small">
          <Button icon={<FilterOutlined />} aria-expanded={isUnfolded} aria-controls="task-filters" onClick={() => setUnfolded(!isUnfolded)}>{t('filter.label')}</Button>
        </Badge>
      )}
      <div id="task-filters" style={{ display: isPhone ? (isUnfolded ? 'flex' : 'none') : 'contents', flexWrap: 'wrap', gap: 8, width: '100%' }}>
        <Select allowClear showSearch aria-label={t('filter.model')} placeholder={t('filter.model')} style={{ width: width(160) }} popupMatchSelectWidth={false} value={filter.model} onChange={(model?: string) => put({ model })} options={models.data?.items.map(({ name }) => ({ value: name, label: name })) ?? []} />
        <Select allowClear aria-label={t('filter.priority')} placeholder={t('filter.priority')} style={{ width: width(110) }} value={filter.priority} onChange={(priority?: string) => put({ priority })} options={(['high', 'medium', 'low'] as const).map((value) => ({ value, label: words(`priority.${value}`) }))} />
        <Select allowClear aria-label={t('filter.created')} placeholder={t('filter.created')} style={{ width: width(150) }} value={filter.created} onChange={(created?: string) => put({ created })} options={[...SPANS.map((value) => ({ value: value as string, label: t(`filter.last.${value}`) })), ...own]} />
        <Text label={t('filter.metadata')} width={width(190)} value={filter.metadata ?? ''} onCommit={(metadata) => put({ metadata })} />
      </div>
      {!isEmpty(filter) && <Button type="text" icon={<CloseCircleOutlined />} onClick={() => onChange({})}>{t('filter.clear')}</Button>}
    </div>
  );
}
