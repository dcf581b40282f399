import { PlusOutlined } from '@ant-design/icons';
import { Button, Card } from 'antd';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { useMay } from '../api/me';
import { useModels } from '../api/stats';
import { EmptyState, Loaded, PageHeader } from '../components/basics';
import { AddWizard } from '../features/models/AddWizard';
import { ModelCard } from '../features/models/ModelCard';

export function Component() {
  const { t } = useTranslation('models');
  const may = useMay();
  const query = useModels();
  const [params, setParams] = useSearchParams();
  const add = may('models:manage') && <Button type="primary" icon={<PlusOutlined />} onClick={() => setParams({ add: '1' })}>{t('add')}</Button>;
  return (
    <>
      <PageHeader title={t('title')} sub={t('sub')} extra={add} />
      <Loaded query={query} rows={8}>
        {({ items }) => items.length === 0
          ? <Card><EmptyState title={t('none')} hint={t('noneHint')} action={add} /></Card>
          : (
            <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'repeat(auto-fill, minmax(min(100%, 320px), 1fr))' }}>
              {items.map((model) => <ModelCard key={model.id} model={model} />)}
            </div>
          )}
      </Loaded>
      {params.get('add') && may('models:manage') && <AddWizard onClose={() => setParams({})} />}
    </>
  );
}
